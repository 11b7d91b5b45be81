// Checks msgpack bytes before they are decoded.
import { FedStreamError } from '../core/errors.js';

/** Deeper than any job or task, and shallow enough for code that walks the value by recursion. */
const MAX_DEPTH = 64;

/**
 * Bytes that follow the first byte of an item of fixed size, by first byte; `undefined` if another
 * rule holds.
 */
const FIXED = new Map<number, number>([
  [0xc0, 0], // nil
  [0xc2, 0],
  [0xc3, 0],
  [0xca, 4], // float 32
  [0xcb, 8],
  [0xcc, 1], // unsigned
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd0, 1], // signed
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
]);
/** Width of the length field of strings and binaries. */
const SIZED = new Map<number, 1 | 2 | 4>([
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
]);
/** Width of the count field of arrays and maps. */
const COUNTED = new Map<number, 2 | 4>([
  [0xdc, 2],
  [0xdd, 4],
  [0xde, 2],
  [0xdf, 4],
]);

/**
 * Throws `bad-frame` unless the bytes are one whole msgpack value of JSON-like types, nested at
 * most 64 deep, of at most `maxItems` items on all levels, in which no array or map declares more
 * items than there are bytes left for: the decoder would allocate as many. Needs no memory.
 */
export function checkMsgpack(bytes: Uint8Array, what: string, maxItems = Number.POSITIVE_INFINITY): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (why: string): never => {
    throw new FedStreamError('bad-frame', `${what} cannot be decoded: ${why}`);
  };
  const number = (at: number, width: 1 | 2 | 4): number => {
    if (at + width > bytes.length) fail('it ends early');
    return width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at);
  };
  const left: number[] = [1]; // items still to come, by level
  let pending = 1; // items still to come on all levels: each needs a byte
  let items = 1; // items on all levels, seen or still to come
  let at = 0;
  while (left.length > 0) {
    if (left[left.length - 1] === 0) {
      left.pop();
      continue;
    }
    if (at >= bytes.length) fail('it ends early');
    left[left.length - 1] = (left[left.length - 1] as number) - 1;
    pending--;
    const first = bytes[at++] as number;
    let inside = -1;
    const fixed = FIXED.get(first);
    const sized = SIZED.get(first);
    const counted = COUNTED.get(first);
    if (first <= 0x7f || first >= 0xe0)
      continue; // small integers
    else if (fixed !== undefined) at += fixed;
    else if (first >= 0xa0 && first <= 0xbf) at += first & 0x1f;
    else if (sized) at += sized + number(at, sized);
    else if (counted) {
      inside = number(at, counted) * (first >= 0xde ? 2 : 1);
      at += counted;
    } else if (first <= 0x8f) inside = (first & 0x0f) * 2;
    else if (first <= 0x9f) inside = first & 0x0f;
    else fail(`it has a value of type 0x${first.toString(16)}`);
    if (inside < 0) continue;
    pending += inside;
    items += inside;
    if (pending > bytes.length - at) fail('it declares more than it holds');
    if (items > maxItems) fail(`it has more than ${maxItems} items`);
    if (left.length > MAX_DEPTH) fail(`it is nested more than ${MAX_DEPTH} deep`);
    left.push(inside);
  }
  if (at !== bytes.length) fail(at > bytes.length ? 'it ends early' : 'bytes follow it');
}
