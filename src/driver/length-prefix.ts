// Frames behind their lengths, as byte streams carry them.
import { putUint32 } from '../core/uint64.js';

export const LENGTH_BYTES = 4;
/** A write costs more than the copy of so much. */
const JOINED_BYTES = 4 * 1024;

/** The length as a little-endian u32, with the small first part of the frame copied to it, and the other parts. */
export function lengthPrefixed(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  const [first, ...rest] = parts as [Uint8Array, ...Uint8Array[]];
  const joins = first.length <= JOINED_BYTES;
  const front = new Uint8Array(LENGTH_BYTES + (joins ? first.length : 0));
  putUint32(front, 0, bytes);
  if (joins) front.set(first, LENGTH_BYTES);
  return [front, ...(joins ? rest : parts)].filter(({ length }) => length > 0);
}
