// A connection over a transport of whole messages: its queue, its limits and its ends.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { Queue } from '../core/queue.js';
import { type Connection, checkFrameBytes, DEFAULT_MAX_FRAME_BYTES } from './driver.js';
import type { FrameSplitter } from './frame-splitter.js';

/** How many frames may wait to be taken before the transport is told to stop. */
const QUEUED_FRAMES = 4;
/**
 * After `close`, a peer is cut off if it takes nothing for this long, or does not end its own side.
 */
const LINGER_MS = 2_000;

/**
 * The transport under a message connection. It calls `received`, `otherEnded` and `ended` of the
 * connection.
 */
export interface MessageTransport {
  /**
   * Resolves once the parts may be used again and the next frame may follow. Rejects with the
   * transport's own error.
   */
  send(parts: readonly Uint8Array[], bytes: number): Promise<void>;
  /** Tells the transport to go on or to stop; missing if it cannot stop its peer. */
  flow?(welcome: boolean): void;
  /** Called when the limit of frames changes: a library under it that joins them has to know. */
  limited?(maxBytes: number): void;
  /**
   * Tells the other side that nothing follows the frames that were sent. Incoming frames keep
   * coming.
   */
  finish(): void;
  /** Ends the transport at once. It then calls `ended`. */
  abort(reason: Error): void;
  /** Returns a number that changes while sent bytes are being taken. */
  progress(): number;
}

/** The peer of a connection, its limits, and the memory of its frames. */
export interface MessageConnectionOptions {
  readonly peer: string;
  readonly maxFrameBytes?: number | undefined;
  readonly certificateNames?: readonly string[] | undefined;
  /** Cuts the frames out of bytes; missing if whole frames arrive. */
  readonly splitter?: FrameSplitter | undefined;
  /** Gives the memory of a frame back; missing if frames are not pooled. */
  release?(frame: Uint8Array): void;
  /** Called once the peer has proved its name. */
  admitted?(): void;
}

/** A connection over a transport of whole messages. */
export class MessageConnection implements Connection {
  readonly peer: string;
  readonly certificateNames: readonly string[] | undefined;
  readonly release: ((frame: Uint8Array) => void) | undefined;
  readonly admitted: (() => void) | undefined;
  readonly closed: Promise<Error | undefined>;
  readonly #transport: MessageTransport;
  readonly #splitter: FrameSplitter | undefined;
  readonly #maxFrameBytes: number;
  /** The most bytes of the one frame that is taken until `readOn`: 0 after it. */
  #one: number | undefined;
  readonly #incoming = new Queue<Uint8Array>();
  readonly #waiting = new Set<(error: FedStreamError) => void>();
  #closing = false;
  #ended = false;
  #error: Error | undefined;
  #resolveClosed: (error: Error | undefined) => void = () => {};

  constructor(transport: MessageTransport, options: MessageConnectionOptions) {
    this.#transport = transport;
    this.peer = options.peer;
    this.certificateNames = options.certificateNames;
    this.release = options.release;
    this.#splitter = options.splitter;
    this.admitted = options.admitted;
    this.#maxFrameBytes = options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#incoming.onTake = () => {
      if (this.#incoming.size === QUEUED_FRAMES - 1 && !this.full) transport.flow?.(true);
    };
  }

  /** True if no more frames should come: so many wait, or none may until `readOn`. */
  get full(): boolean {
    return !this.#closing && (this.#incoming.size >= QUEUED_FRAMES || this.#one === 0);
  }

  /** True once somebody has asked for one frame only. */
  get isLimited(): boolean {
    return this.#one !== undefined;
  }

  readOne(maxBytes: number): void {
    if (this.#closing || this.#ended) return;
    const paused = this.#one === 0;
    this.#one = this.#incoming.size > 0 ? 0 : maxBytes;
    this.#transport.limited?.(maxBytes);
    if (!this.#cutHeld(() => this.#splitter?.readOne(this.#one ?? 0))) return;
    if (this.full) this.#transport.flow?.(false);
    else if (paused) this.#transport.flow?.(true);
  }

  readOn(): void {
    if (this.#one === undefined || this.#closing || this.#ended) return;
    this.#one = undefined;
    this.#transport.limited?.(this.#maxFrameBytes);
    if (this.#cutHeld(() => this.#splitter?.readOn()) && !this.full) this.#transport.flow?.(true);
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    checkFrameBytes(bytes, this.#maxFrameBytes);
    if (this.#closing || this.#ended) throw this.#closedError();
    await new Promise<void>((resolve, reject) => {
      // A transport may drop its callbacks when it ends.
      this.#waiting.add(reject);
      const settle = (act: () => void) => (): void => {
        this.#waiting.delete(reject);
        act();
      };
      this.#transport.send(parts, bytes).then(settle(resolve), (cause: Error) => settle(() => reject(this.#closedError(cause)))());
    });
  }

  async close(reason?: Error): Promise<void> {
    if (reason) {
      this.#incoming.clear();
      this.fail(reason);
    } else if (!this.#closing && !this.#ended) await this.#finishAndWait();
    await this.closed;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#incoming[Symbol.asyncIterator]();
  }

  /** A whole frame has come. One above the limit ends the connection with `limit`. */
  received(frame: Uint8Array): void {
    if (this.#closing || this.#ended) return;
    const most = this.#one || this.#maxFrameBytes;
    if (frame.length > most) {
      this.fail(new FedStreamError('limit', `${this.peer} sent a frame of ${frame.length} bytes; at most ${most} are taken`));
      return;
    }
    if (this.#one !== undefined) this.#one = 0;
    this.#incoming.push(frame);
    if (this.full) this.#transport.flow?.(false);
  }

  /** The other side has ended in good order: this side ends too. */
  otherEnded(): void {
    if (this.#closing || this.#ended) return;
    this.#closing = true;
    this.#incoming.end();
    this.#wake();
    this.#transport.finish();
  }

  /** Both directions have ended. */
  ended(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error ??= this.#closing ? undefined : error;
    this.#incoming.end(this.#error);
    this.#wake();
    this.#resolveClosed(this.#error);
  }

  /**
   * Ends the connection at once. Frames that wait to be sent are dropped; frames that came whole
   * can still be read.
   */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#error ??= error;
    this.#transport.abort(error);
  }

  /** Takes frames that were held back; returns false if they ended the connection. */
  #cutHeld(cut: () => readonly Uint8Array[] | undefined): boolean {
    try {
      for (const frame of cut() ?? []) this.received(frame);
      return true;
    } catch (error) {
      this.fail(asFedStreamError(error, 'bad-frame', this.peer));
      return false;
    }
  }

  /** Ends this side, and reads on until the other side ends too. */
  async #finishAndWait(): Promise<void> {
    this.#closing = true;
    this.#incoming.end();
    this.#incoming.clear();
    this.#splitter?.drop();
    this.#transport.flow?.(true);
    this.#transport.finish();
    let before = this.#transport.progress();
    const timer = setInterval(() => {
      const now = this.#transport.progress();
      if (now === before) this.#transport.abort(new FedStreamError('closed', `${this.peer} does not end its side of the connection`));
      before = now;
    }, LINGER_MS);
    await this.closed;
    clearInterval(timer);
  }

  #wake(): void {
    const error = this.#closedError();
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }

  #closedError(cause: Error | undefined = this.#error): FedStreamError {
    return new FedStreamError('closed', `the connection to ${this.peer} is closed`, { cause });
  }
}
