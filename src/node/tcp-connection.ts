// A connection over a TCP socket: length-prefixed frames, back-pressure both ways, an end that loses nothing.
import type { Socket } from 'node:net';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { Queue } from '../core/queue.js';
import { type Connection, checkFrameBytes, DEFAULT_MAX_FRAME_BYTES } from '../driver/driver.js';
import { FrameSplitter } from './frame-splitter.js';

/** Frames that were read and not taken before the socket is paused. */
const QUEUED_FRAMES = 4;
/** After `close`, a peer that takes nothing for so long, or does not end its own side, is cut off. */
const LINGER_MS = 2_000;

export class TcpConnection implements Connection {
  readonly peer: string;
  readonly closed: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #incoming = new Queue<Uint8Array>();
  readonly #maxFrameBytes: number;
  #closing = false;
  #error: Error | undefined;

  constructor(socket: Socket, maxFrameBytes = DEFAULT_MAX_FRAME_BYTES) {
    this.#socket = socket;
    this.#maxFrameBytes = maxFrameBytes;
    this.peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const splitter = new FrameSplitter(maxFrameBytes);
    // Frames are plain arrays: the slice() of a Buffer would not copy.
    socket.on('data', (bytes: Buffer) => this.#received(splitter, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
    socket.on('error', (cause) =>
      this.#fail(new FedStreamError('closed', `the connection to ${this.peer} broke: ${cause.message}`, { cause })),
    );
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

  #received(splitter: FrameSplitter, bytes: Uint8Array): void {
    if (this.#closing) return;
    try {
      for (const frame of splitter.push(bytes)) this.#incoming.push(frame);
    } catch (error) {
      this.#fail(asFedStreamError(error, 'bad-frame', this.peer));
      return;
    }
    if (this.#incoming.size >= QUEUED_FRAMES) this.#socket.pause();
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
