// The memory of large frames, used again once a frame was released.

/** The most free buffers that are kept: a window and a driver's queue need no more. */
const MOST_FREE = 16;
const GRAIN_BYTES = 64 * 1024;

/**
 * Lends memory for frames. The first touch of fresh memory runs at 0.4 to 2.6 GB/s, the second at
 * 10 (measured on the reference machine), so a connection that moves a model in fresh buffers would
 * spend most of its time on them.
 */
export class FrameMemory {
  readonly #allocate: (bytes: number) => Uint8Array;
  readonly #free: Uint8Array[] = [];
  /** Lent buffers, by the memory that they lie in and the position of their frame in it. */
  readonly #lent = new WeakMap<ArrayBufferLike, Map<number, Uint8Array>>();

  /**
   * Takes `allocate`, which returns buffers of at least so many bytes; several may lie in one
   * memory.
   */
  constructor(allocate: (bytes: number) => Uint8Array = (bytes) => new Uint8Array(bytes)) {
    this.#allocate = allocate;
  }

  /** Lends a frame of so many bytes; its content is whatever the memory held before. */
  take(bytes: number): Uint8Array {
    return this.reuse(bytes) ?? this.#lend(this.#allocate(Math.ceil(bytes / GRAIN_BYTES) * GRAIN_BYTES), bytes, 0);
  }

  /**
   * Lends free memory with `frontBytes` before the frame, which are not given back with it;
   * undefined if no memory is free.
   */
  reuse(bytes: number, frontBytes = 0): Uint8Array | undefined {
    const found = this.#free.findLastIndex(({ length }) => length >= frontBytes + bytes);
    return found < 0 ? undefined : this.#lend(this.#free.splice(found, 1)[0] as Uint8Array, bytes, frontBytes);
  }

  /**
   * Takes a frame back. A frame that did not come from here, or was given back before, is ignored.
   */
  giveBack(frame: Uint8Array): void {
    const lent = this.#lent.get(frame.buffer);
    const buffer = lent?.get(frame.byteOffset);
    if (!lent || !buffer) return;
    lent.delete(frame.byteOffset);
    if (this.#free.length < MOST_FREE) this.#free.push(buffer);
  }

  #lend(buffer: Uint8Array, bytes: number, frontBytes: number): Uint8Array {
    const lent = this.#lent.get(buffer.buffer) ?? new Map<number, Uint8Array>();
    this.#lent.set(buffer.buffer, lent.set(buffer.byteOffset + frontBytes, buffer));
    return buffer.subarray(0, frontBytes + bytes);
  }
}
