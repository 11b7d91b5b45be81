// A connection over a socket: frames with length prefixes, and back-pressure both ways.
import type { Socket } from 'node:net';
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { Queue } from '../../core/queue.js';
import { type Connection, checkFrameBytes, DEFAULT_MAX_FRAME_BYTES } from '../../driver/driver.js';
import { lengthPrefixed } from '../../driver/length-prefix.js';
import type { DirectReads } from './direct-reads.js';
import { writeParts } from './write-parts.js';

/** How many frames may be read and not taken before the socket is paused. */
const QUEUED_FRAMES = 4;
/**
 * After `close`, a peer is cut off if it takes nothing for this long, or does not end its own side.
 */
const LINGER_MS = 2_000;

/** The peer of a connection, its limits, and how its socket is read. */
export interface SocketConnectionOptions {
  readonly peer: string;
  readonly certificateNames: readonly string[] | undefined;
  readonly maxFrameBytes: number | undefined;
  readonly reads: DirectReads;
  /**
   * True if the socket reads through `reads` already; otherwise its `data` events bring the bytes,
   * which are copied.
   */
  readonly direct: boolean;
  /** The error that an error of the socket means. */
  broken(cause: Error): FedStreamError;
  /** Called once the peer has proved its name. */
  admitted(): void;
}

/** A connection over a connected socket. */
export class SocketConnection implements Connection {
  readonly peer: string;
  readonly certificateNames: readonly string[] | undefined;
  readonly admitted: () => void;
  readonly closed: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #incoming = new Queue<Uint8Array>();
  readonly #maxFrameBytes: number;
  readonly #reads: DirectReads;
  #closing = false;
  #error: Error | undefined;

  constructor(socket: Socket, options: SocketConnectionOptions) {
    const { maxFrameBytes = DEFAULT_MAX_FRAME_BYTES, reads } = options;
    const { splitter } = reads;
    this.#socket = socket;
    this.#maxFrameBytes = maxFrameBytes;
    this.peer = options.peer;
    this.certificateNames = options.certificateNames;
    this.admitted = () => options.admitted();
    this.#reads = reads;
    if (options.direct) {
      reads.onRead = this.#reader((bytes) => splitter.filled(bytes));
      socket.resume(); // to see its end
    } else
      socket.on(
        'data',
        this.#reader((bytes: Buffer) => splitter.push(bytes)),
      );
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
    this.#incoming.onTake = () => this.#flow();
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    checkFrameBytes(bytes, this.#maxFrameBytes);
    if (this.#closing || !this.#socket.writable) throw this.#closedError();
    await writeParts(this.#socket, lengthPrefixed(parts, bytes)).catch((cause: Error) => {
      throw this.#closedError(cause);
    });
  }

  release(frame: Uint8Array): void {
    this.#reads.memory.giveBack(frame);
  }

  readOne(maxBytes: number): void {
    if (this.#closing) return;
    try {
      for (const frame of this.#reads.splitter.readOne(this.#incoming.size > 0 ? 0 : maxBytes)) this.#incoming.push(frame);
      if (this.#full) this.#socket.pause();
      else this.#flow();
    } catch (error) {
      this.#fail(asFedStreamError(error, 'bad-frame', this.peer));
    }
  }

  readOn(): void {
    if (this.#closing) return;
    try {
      for (const frame of this.#reads.splitter.readOn()) this.#incoming.push(frame);
      this.#flow();
    } catch (error) {
      this.#fail(asFedStreamError(error, 'bad-frame', this.peer));
    }
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

  /** True if no more frames should come. */
  get #full(): boolean {
    return this.#incoming.size >= QUEUED_FRAMES || this.#reads.splitter.holds;
  }

  #flow(): void {
    if (this.#socket.isPaused() && !this.#full) this.#socket.resume();
  }

  /**
   * Sends what waits, then reads on until the other side ends too. To close a socket with unread
   * bytes would reset it, and the other side might lose bytes that it has not read.
   */
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

  /**
   * Makes the function that queues the frames which `cut` finds in a read; it returns whether the
   * socket may read on. It is made once, not for each read.
   */
  #reader<T>(cut: (read: T) => readonly Uint8Array[]): (read: T) => boolean {
    return (read) => {
      if (this.#closing) return true;
      try {
        for (const frame of cut(read)) this.#incoming.push(frame);
      } catch (error) {
        this.#fail(asFedStreamError(error, 'bad-frame', this.peer));
        return false;
      }
      if (!this.#full) return true;
      this.#socket.pause();
      return false;
    };
  }

  /**
   * Ends the connection at once. Bytes that wait to be sent are dropped; frames that came whole can
   * still be read.
   */
  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #closedError(cause: Error | undefined = this.#error): FedStreamError {
    return new FedStreamError('closed', `the connection to ${this.peer} is closed`, { cause });
  }
}
