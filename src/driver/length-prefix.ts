// Frames behind their lengths, as byte streams carry them.
import { putUint32 } from '../core/uint64.js';
import { joinParts } from './join-parts.js';

export const LENGTH_BYTES = 4;
/** A write costs more than the copy of so much. */
const JOINED_BYTES = 4 * 1024;

/** The length as a little-endian u32, and the frame. */
export function lengthPrefixed(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  const length = new Uint8Array(LENGTH_BYTES);
  putUint32(length, 0, bytes);
  return behindFront(length, parts);
}

/** The small first part of a frame is copied behind what is before it; the other parts stay what they are. */
export function behindFront(front: Uint8Array, parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const [first, ...rest] = parts as [Uint8Array, ...Uint8Array[]];
  const joins = first.length <= JOINED_BYTES;
  return [joins ? joinParts([front, first]) : front, ...(joins ? rest : parts)].filter(({ length }) => length > 0);
}
