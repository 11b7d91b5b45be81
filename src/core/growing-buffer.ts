// A buffer that grows in place: addresses are reserved, memory is taken as it is filled, and kept for the next use.
import { FedStreamError } from './errors.js';

/** 4 GiB is where Node 20 and browsers end. */
export const MOST_BUFFER_BYTES = 2 ** 32;
/** Taken at once. */
const STEP_BYTES = 2 ** 24;

export class GrowingBuffer {
  #memory = new ArrayBuffer(0);

  /** Addresses for so many bytes, no memory; what the buffer held is gone where it has to move. `limit` where there are not so many. */
  reserve(bytes: number, what: string): void {
    if (bytes <= this.#memory.maxByteLength) return;
    if (bytes > MOST_BUFFER_BYTES)
      throw new FedStreamError(
        'limit',
        `${what} has ${bytes} bytes; at most ${MOST_BUFFER_BYTES} can be held at once: use the streaming mode "file"`,
      );
    this.#memory = new ArrayBuffer(0, { maxByteLength: bytes });
  }

  /** Puts bytes to where they belong. */
  set(bytes: Uint8Array, at: number): void {
    const end = at + bytes.length;
    if (end > this.#memory.byteLength)
      this.#memory.resize(Math.min(this.#memory.maxByteLength, Math.max(end, this.#memory.byteLength + STEP_BYTES)));
    new Uint8Array(this.#memory, at, bytes.length).set(bytes);
  }

  /** The first bytes: valid until they are set again. */
  view(bytes: number): Uint8Array {
    return new Uint8Array(this.#memory, 0, bytes);
  }
}
