// Length prefixes of frames in byte streams.
import { putUint32 } from '../core/uint64.js';
import { joinParts } from './join-parts.js';

/** The size of a length. */
export const LENGTH_BYTES = 4;
/** Up to this size, a copy costs less than a write. */
const JOINED_BYTES = 4 * 1024;

/** The parts to write: the length as a little-endian u32, then the frame. */
export function lengthPrefixed(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  const length = new Uint8Array(LENGTH_BYTES);
  putUint32(length, 0, bytes);
  return behindFront(length, parts);
}

/**
 * Puts `front` before a frame. A small first part is copied behind it; the other parts stay as they
 * are.
 */
export function behindFront(front: Uint8Array, parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const [first, ...rest] = parts as [Uint8Array, ...Uint8Array[]];
  const joins = first.length <= JOINED_BYTES;
  return [joins ? joinParts([front, first]) : front, ...(joins ? rest : parts)].filter(({ length }) => length > 0);
}
