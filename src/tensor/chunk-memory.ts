// The contract of memory from which buffers for chunks are borrowed.

/** Lends buffers for chunks, as the codecs' kernels do. */
export interface ChunkMemory {
  /** A buffer of `bytes`, from the heap if the lender has none left. Its contents are undefined. */
  borrow(bytes: number): Uint8Array;
  /** Ends a loan; buffers that were not lent from here are ignored. */
  giveBack(buffer: Uint8Array): void;
}

/** The heap: there is nothing to give back. */
export const HEAP: ChunkMemory = { borrow: (bytes) => new Uint8Array(bytes), giveBack: () => {} };
