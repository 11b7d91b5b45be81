// Cuts leaves into the payloads of data frames (docs/spec/stream.md, "Leaves and chunks").
import { LEAF_BYTES } from './leaf-sums.js';

/** The bytes of a leaf that are still to go out, and the checksum of the whole leaf. */
export interface UnsentLeaf {
  readonly bytes: Uint8Array;
  readonly sum: Uint8Array;
}

/** The content of one data frame. */
export interface Chunk {
  readonly payload: readonly Uint8Array[];
  /** Checksums of the leaves that end in this chunk. */
  readonly sums: readonly Uint8Array[];
  readonly bytes: number;
  /** The leaves that follow, the first perhaps in part. */
  readonly rest: readonly UnsentLeaf[];
}

/** How many whole leaves one frame carries at most. */
export function leavesAChunk(chunkBytes: number): number {
  return Math.max(1, Math.floor(chunkBytes / LEAF_BYTES));
}

/**
 * The first chunk of `leaves`, of at most `chunkBytes` bytes: a part of the first leaf, or the rest
 * of it with as many whole leaves behind it as there is room for.
 */
export function firstChunk(leaves: readonly UnsentLeaf[], chunkBytes: number): Chunk {
  const [{ bytes, sum }, ...others] = leaves as [UnsentLeaf, ...UnsentLeaf[]];
  if (bytes.length > chunkBytes) {
    const rest = [{ bytes: bytes.subarray(chunkBytes), sum }, ...others];
    return { payload: [bytes.subarray(0, chunkBytes)], sums: [], bytes: chunkBytes, rest };
  }
  const count = leavesAChunk(chunkBytes);
  const whole = leaves.slice(0, count);
  return {
    payload: whole.map((leaf) => leaf.bytes),
    sums: whole.map((leaf) => leaf.sum),
    bytes: whole.reduce((total, leaf) => total + leaf.bytes.length, 0),
    rest: leaves.slice(count),
  };
}
