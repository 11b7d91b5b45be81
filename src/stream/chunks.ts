// Cuts leaves into what one data frame carries (docs/spec/stream.md, "Leaves and chunks").
import { LEAF_BYTES } from './leaf-sums.js';

/** What is left of a leaf that goes out, and the checksum of the whole. */
export interface UnsentLeaf {
  readonly bytes: Uint8Array;
  readonly sum: Uint8Array;
}

export interface Chunk {
  readonly payload: readonly Uint8Array[];
  /** Of the leaves that end in it. */
  readonly sums: readonly Uint8Array[];
  readonly bytes: number;
  /** What follows it. */
  readonly rest: readonly UnsentLeaf[];
}

/** So many whole leaves go out in one frame at most. */
export function leavesAChunk(chunkBytes: number): number {
  return Math.max(1, Math.floor(chunkBytes / LEAF_BYTES));
}

/** A part of the first leaf, or what is left of it, with as many whole ones behind it as there is room for. */
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
