// Memory of large frames, used again once its frame was released.

/** Of more than these there are enough in a window and a driver's queue. */
const MOST_FREE = 16;
const GRAIN_BYTES = 64 * 1024;

/**
 * First touch of fresh memory runs at 0.4 to 2.6 GB/s, the second at 10 (measured on the reference machine): a connection that moves a model in
 * fresh buffers spends most of its time on them.
 */
export class FrameMemory {
  readonly #free: Uint8Array[] = [];
  readonly #lent = new WeakMap<ArrayBufferLike, Uint8Array>();

  /** A frame of so many bytes, with whatever its memory held before. */
  take(bytes: number): Uint8Array {
    const found = this.#free.findIndex(({ length }) => length >= bytes);
    const buffer =
      found < 0 ? new Uint8Array(Math.ceil(bytes / GRAIN_BYTES) * GRAIN_BYTES) : (this.#free.splice(found, 1)[0] as Uint8Array);
    this.#lent.set(buffer.buffer, buffer);
    return buffer.subarray(0, bytes);
  }

  /** What did not come from here, or was given back already, is ignored. */
  giveBack(frame: Uint8Array): void {
    const buffer = this.#lent.get(frame.buffer);
    if (!buffer) return;
    this.#lent.delete(frame.buffer);
    if (this.#free.length < MOST_FREE) this.#free.push(buffer);
  }
}
