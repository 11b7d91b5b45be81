// A connection without stripes, of which the first frame was read to find that out.
import { FedStreamError } from '../core/errors.js';
import { type Connection, DEFAULT_MAX_FRAME_BYTES } from './driver.js';

/** A plain connection whose first frame was read already. */
export class PlainConnection implements Connection {
  readonly #connection: Connection;
  readonly #first: Promise<IteratorResult<Uint8Array>>;
  readonly #frames: AsyncIterator<Uint8Array>;
  readonly #maxFrameBytes: number;
  #isFirst = true;

  /**
   * Takes a connection that reads one frame only, the promise of that frame, and the iterator that
   * brings the others.
   */
  constructor(
    connection: Connection,
    first: Promise<IteratorResult<Uint8Array>>,
    frames: AsyncIterator<Uint8Array>,
    maxFrameBytes = DEFAULT_MAX_FRAME_BYTES,
  ) {
    this.#connection = connection;
    this.#first = first;
    this.#frames = frames;
    this.#maxFrameBytes = maxFrameBytes;
  }

  get peer(): string {
    return this.#connection.peer;
  }

  get certificateNames(): readonly string[] | undefined {
    return this.#connection.certificateNames;
  }

  get closed(): Promise<Error | undefined> {
    return this.#connection.closed;
  }

  send(...parts: readonly Uint8Array[]): Promise<void> {
    return this.#connection.send(...parts);
  }

  release(frame: Uint8Array): void {
    this.#connection.release?.(frame);
  }

  /** True once somebody has asked for one frame only. */
  isLimited = false;

  readOne(maxBytes: number): void {
    this.isLimited = true;
    if (!this.#isFirst) this.#connection.readOne?.(maxBytes);
  }

  readOn(): void {
    this.isLimited = false;
    this.#connection.readOn?.();
  }

  admitted(): void {
    this.#connection.admitted?.();
  }

  close(reason?: Error): Promise<void> {
    return this.#connection.close(reason);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        const next = this.#isFirst ? this.#first : this.#frames.next();
        this.#isFirst = false;
        const result = await next;
        if (!result.done && result.value.length > this.#maxFrameBytes) {
          const error = new FedStreamError(
            'limit',
            `${this.peer} sent a frame of ${result.value.length} bytes; at most ${this.#maxFrameBytes} are taken`,
          );
          await this.close(error);
          throw error;
        }
        return result;
      },
    };
  }
}
