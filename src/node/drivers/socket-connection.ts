// A connection over a socket: length-prefixed frames, back-pressure both ways, an end that loses nothing.
import type { Socket } from 'node:net';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { Queue } from '../../core/queue.js';
import { type Connection, checkFrameBytes, DEFAULT_MAX_FRAME_BYTES } from '../../driver/driver.js';
import { FrameMemory } from '../../driver/frame-memory.js';
import { FrameSplitter } from '../../driver/frame-splitter.js';

/** Frames that were read and not taken before the socket is paused. */
const QUEUED_FRAMES = 4;
/** After `close`, a peer that takes nothing for so long, or does not end its own side, is cut off. */
const LINGER_MS = 2_000;

/** Tells a socket that is still to be made where to read to; the connection over it is made once it is connected. */
export class DirectReads {
  readonly splitter: FrameSplitter;
  readonly memory = new FrameMemory();
  /** Set by the connection. Returns whether it welcomes more. */
  onRead: (bytes: number) => boolean = () => true;
  readonly onread = {
    buffer: (): Uint8Array => this.splitter.room(),
    callback: (bytes: number): boolean => this.onRead(bytes),
  };

  constructor(maxFrameBytes = DEFAULT_MAX_FRAME_BYTES) {
    this.splitter = new FrameSplitter(maxFrameBytes, this.memory);
  }
}

export interface SocketConnectionOptions {
  readonly peer: string;
  readonly certificateNames: readonly string[] | undefined;
  readonly maxFrameBytes: number | undefined;
  /** A connecting socket can read straight into frames; for an accepted one Node has no such way, and bytes are copied. */
  readonly direct: DirectReads | undefined;
  /** What an error of the socket means. */
  broken(cause: Error): FedStreamError;
}

export class SocketConnection implements Connection {
  readonly peer: string;
  readonly certificateNames: readonly string[] | undefined;
  readonly closed: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #incoming = new Queue<Uint8Array>();
  readonly #maxFrameBytes: number;
  readonly #memory: FrameMemory;
  #closing = false;
  #error: Error | undefined;

  constructor(socket: Socket, options: SocketConnectionOptions) {
    const { maxFrameBytes = DEFAULT_MAX_FRAME_BYTES, direct } = options;
    this.#socket = socket;
    this.#maxFrameBytes = maxFrameBytes;
    this.peer = options.peer;
    this.certificateNames = options.certificateNames;
    this.#memory = direct?.memory ?? new FrameMemory();
    const splitter = direct?.splitter ?? new FrameSplitter(maxFrameBytes, this.#memory);
    if (direct) {
      direct.onRead = (bytes) => this.#received(() => splitter.filled(bytes));
      socket.resume(); // for its end
    } else socket.on('data', (bytes: Buffer) => this.#received(() => splitter.push(bytes)));
    socket.on('error', (cause) => this.#fail(options.broken(cause)));
    socket.on('end', () => {
      if (splitter.pendingBytes > 0 && !this.#closing)
        this.#fail(new FedStreamError('closed', `${this.peer} closed the connection inside a frame`));
      else socket.end();
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#incoming.end(this.#error);
        resolve(this.#error);
      });
    });
    this.#incoming.onTake = () => {
      if (socket.isPaused() && this.#incoming.size < QUEUED_FRAMES) socket.resume();
    };
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    checkFrameBytes(bytes, this.#maxFrameBytes);
    if (this.#closing || !this.#socket.writable) throw this.#closedError();
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes, true);
    await new Promise<void>((resolve, reject) => {
      const flushed = (error?: Error | null): void => (error ? reject(this.#closedError(error)) : resolve());
      this.#socket.cork();
      this.#socket.write(length);
      for (const [index, part] of parts.entries()) this.#socket.write(part, index === parts.length - 1 ? flushed : undefined);
      this.#socket.uncork();
    });
  }

  release(frame: Uint8Array): void {
    this.#memory.giveBack(frame);
  }

  async close(reason?: Error): Promise<void> {
    if (reason) {
      this.#incoming.clear();
      this.#fail(reason);
    } else if (!this.#closing) await this.#flushAndEnd();
    await this.closed;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#incoming[Symbol.asyncIterator]();
  }

  /** Reads on until the other side ends too: closing a socket with unread bytes resets it, and the other side may lose what it had not read. */
  async #flushAndEnd(): Promise<void> {
    const socket = this.#socket;
    this.#closing = true;
    this.#incoming.end();
    socket.end();
    socket.resume();
    let left = socket.writableLength;
    let ended = socket.writableFinished;
    const timer = setInterval(() => {
      if (ended || socket.writableLength === left) socket.destroy();
      left = socket.writableLength;
      ended = socket.writableFinished;
    }, LINGER_MS);
    await this.closed;
    clearInterval(timer);
  }

  /** Whether more is welcome. */
  #received(cut: () => Uint8Array[]): boolean {
    if (this.#closing) return true;
    try {
      for (const frame of cut()) this.#incoming.push(frame);
    } catch (error) {
      this.#fail(asFedStreamError(error, 'bad-frame', this.peer));
      return false;
    }
    if (this.#incoming.size < QUEUED_FRAMES) return true;
    this.#socket.pause();
    return false;
  }

  /** At once: what waits to be sent is dropped; what has come whole can still be read. */
  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #closedError(cause: Error | undefined = this.#error): FedStreamError {
    return new FedStreamError('closed', `the connection to ${this.peer} is closed`, { cause });
  }
}
