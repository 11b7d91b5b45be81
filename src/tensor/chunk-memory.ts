// Buffers for chunks from memory that someone lends, such as the codecs' kernels.

export interface ChunkMemory {
  /** A buffer of `bytes`; from the common heap where the lender has none left. Its contents are undefined. */
  borrow(bytes: number): Uint8Array;
  /** Ends a loan; a buffer from elsewhere is ignored. */
  giveBack(buffer: Uint8Array): void;
}

/** The common heap: nothing to give back. */
export const HEAP: ChunkMemory = { borrow: (bytes) => new Uint8Array(bytes), giveBack: () => {} };
