// A buffer that grows in place.
import { FedStreamError } from './errors.js';

/** The largest buffer of Node 20 and of browsers: 4 GiB. */
export const MOST_BUFFER_BYTES = 2 ** 32;
/** Bytes of memory taken at once. */
const STEP_BYTES = 2 ** 24;

/** Reserves addresses, takes memory as it is filled, and keeps the memory for the next use. */
export class GrowingBuffer {
  #memory = new ArrayBuffer(0);

  /**
   * Reserves addresses for so many bytes, without memory; the buffer loses its contents if it has
   * to move. `what` begins the message of the error `limit`, if there are not so many.
   */
  reserve(bytes: number, what: string): void {
    if (bytes <= this.#memory.maxByteLength) return;
    if (bytes > MOST_BUFFER_BYTES)
      throw new FedStreamError(
        'limit',
        `${what} has ${bytes} bytes; at most ${MOST_BUFFER_BYTES} can be held at once: use the streaming mode "file"`,
      );
    this.#memory = new ArrayBuffer(0, { maxByteLength: bytes });
  }

  /** Writes bytes at their position. */
  set(bytes: Uint8Array, at: number): void {
    const end = at + bytes.length;
    if (end > this.#memory.byteLength)
      this.#memory.resize(Math.min(this.#memory.maxByteLength, Math.max(end, this.#memory.byteLength + STEP_BYTES)));
    new Uint8Array(this.#memory, at, bytes.length).set(bytes);
  }

  /** The first bytes: valid until they are written again. */
  view(bytes: number): Uint8Array {
    return new Uint8Array(this.#memory, 0, bytes);
  }
}
