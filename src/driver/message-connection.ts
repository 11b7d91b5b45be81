// A connection over a transport that carries whole messages: queue, limits and ends, which are the same for all of them.
import { FedStreamError } from '../core/errors.js';
import { Queue } from '../core/queue.js';
import { type Connection, checkFrameBytes, DEFAULT_MAX_FRAME_BYTES } from './driver.js';

/** Frames that have come and were not taken before the transport is told to wait. */
const QUEUED_FRAMES = 4;
/** After `close`, a peer that takes nothing for so long, or does not end its own side, is cut off. */
const LINGER_MS = 2_000;

/** What is under a message connection. It calls `received`, `otherEnded` and `ended` of the connection. */
export interface MessageTransport {
  /** Resolves once the parts may be used again and the next frame is welcome. Rejects with whatever the transport has. */
  send(parts: readonly Uint8Array[], bytes: number): Promise<void>;
  /** Whether frames are welcome; a transport that cannot stop its peer leaves it out. */
  flow?(welcome: boolean): void;
  /** Tells the other side that nothing more is sent, behind what was sent. What comes goes on coming. */
  finish(): void;
  /** At once. `ended` follows. */
  abort(reason: Error): void;
  /** A number that changes while what was sent is being taken. */
  progress(): number;
}

export interface MessageConnectionOptions {
  readonly peer: string;
  readonly maxFrameBytes?: number | undefined;
  readonly certificateNames?: readonly string[] | undefined;
  /** Gives a frame's memory back, where frames are pooled. */
  release?(frame: Uint8Array): void;
}

export class MessageConnection implements Connection {
  readonly peer: string;
  readonly certificateNames: readonly string[] | undefined;
  readonly release: ((frame: Uint8Array) => void) | undefined;
  readonly closed: Promise<Error | undefined>;
  readonly #transport: MessageTransport;
  readonly #maxFrameBytes: number;
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
    this.#maxFrameBytes = options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#incoming.onTake = () => {
      if (this.#incoming.size === QUEUED_FRAMES - 1) transport.flow?.(true);
    };
  }

  /** Whether so many frames wait that no further one is welcome. */
  get full(): boolean {
    return !this.#closing && this.#incoming.size >= QUEUED_FRAMES;
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    checkFrameBytes(bytes, this.#maxFrameBytes);
    if (this.#closing || this.#ended) throw this.#closedError();
    await new Promise<void>((resolve, reject) => {
      // A transport may forget its callbacks when it ends.
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

  /** A whole frame has come. One above the limit ends the connection. */
  received(frame: Uint8Array): void {
    if (this.#closing || this.#ended) return;
    if (frame.length > this.#maxFrameBytes) {
      const most = this.#maxFrameBytes;
      this.fail(new FedStreamError('limit', `${this.peer} sent a frame of ${frame.length} bytes; at most ${most} are taken`));
      return;
    }
    this.#incoming.push(frame);
    if (this.#incoming.size >= QUEUED_FRAMES) this.#transport.flow?.(false);
  }

  /** The other side sends nothing more, in good order: this side ends too. */
  otherEnded(): void {
    if (this.#closing || this.#ended) return;
    this.#closing = true;
    this.#incoming.end();
    this.#wake();
    this.#transport.finish();
  }

  /** Both directions are over. */
  ended(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error ??= this.#closing ? undefined : error;
    this.#incoming.end(this.#error);
    this.#wake();
    this.#resolveClosed(this.#error);
  }

  /** At once: what waits to be sent is dropped; what has come whole can still be read. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#error ??= error;
    this.#transport.abort(error);
  }

  /** Reads on until the other side ends too. */
  async #finishAndWait(): Promise<void> {
    this.#closing = true;
    this.#incoming.end();
    this.#incoming.clear();
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
