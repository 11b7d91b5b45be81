// Reads an object a leaf at a time, into buffers that are used in turn.
import { hashedMemory } from './hashed-memory.js';
import { LEAF_BYTES } from './leaf-sums.js';

/** Fills `into` with the bytes of an object from `position` on. */
export type ReadAt = (into: Uint8Array, position: number) => void | Promise<void>;

/** Leaves that stay valid while the next are read, where nobody says how many. */
const KEPT = 2;

/**
 * Yields the bytes from `offset` to `end`, a leaf at a time from there. A piece is valid while the
 * next `kept` pieces are asked for.
 */
export async function* leafPieces(read: ReadAt, end: number, offset = 0, kept = KEPT): AsyncGenerator<Uint8Array> {
  const size = Math.min(LEAF_BYTES, Math.max(end - offset, 0));
  const allocate = size < LEAF_BYTES ? (bytes: number) => new Uint8Array(bytes) : hashedMemory(kept + 1);
  const buffers: Uint8Array[] = [];
  for (let at = offset, turn = 0; at < end; at += LEAF_BYTES, turn = (turn + 1) % (kept + 1)) {
    buffers[turn] ??= allocate(size);
    const piece = (buffers[turn] as Uint8Array).subarray(0, Math.min(LEAF_BYTES, end - at));
    await read(piece, at);
    yield piece;
  }
}
