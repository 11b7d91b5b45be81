// Leaves in buffers that are used in turn stay valid for as long as they were asked to.
import { expect, test } from 'vitest';
import { leafPieces } from './leaf-pieces.js';
import { LEAF_BYTES } from './leaf-sums.js';

const END = 12 * LEAF_BYTES + 5;
/** Every byte of a leaf is its number. */
const read = (into: Uint8Array, position: number): void => void into.fill(position / LEAF_BYTES);

test.each([0, 1, 2, 7])('a piece is valid while the next %i are asked for', async (kept) => {
  const held: Uint8Array[] = [];
  let count = 0;
  for await (const piece of leafPieces(read, END, LEAF_BYTES, kept)) {
    held.push(piece);
    count++;
    for (const [back, old] of held
      .slice(-1 - kept)
      .reverse()
      .entries()) {
      expect([old[0], old.at(-1)]).toEqual([count - back, count - back]);
    }
  }
  expect(count).toBe(12);
  expect(held.at(-1)).toHaveLength(5);
  expect(new Set(held.map(({ buffer, byteOffset }) => `${byteOffset} ${buffer.byteLength}`)).size).toBeLessThanOrEqual(kept + 1);
});

test('an end at or before the offset gives nothing', async () => {
  for await (const _ of leafPieces(read, LEAF_BYTES, LEAF_BYTES)) expect.unreachable();
});
