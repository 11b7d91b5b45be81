// Chunks of every cut become whole leaves, and each frame's memory is released once.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Frame } from '../frame/frame.js';
import { type HeldLeaf, LeafAssembly } from './leaf-assembly.js';
import { LEAF_BYTES } from './leaf-sums.js';

const bytesOf = (total: number): Uint8Array => Uint8Array.from({ length: total }, (_, i) => (i * 7 + (i >> 12)) & 0xff);

/** Cuts an object into frames; `take` gets the leaves of each frame. */
function cut(bytes: Uint8Array, chunks: readonly number[], take: (leaves: HeldLeaf[], assembly: LeafAssembly) => void): number[] {
  const assembly = new LeafAssembly();
  const releases: number[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const payload = bytes.slice(at, at + (chunks[i % chunks.length] as number));
    const end = at + payload.length;
    const isEnd = end === bytes.length && end % LEAF_BYTES > 0;
    const ends = Math.floor(end / LEAF_BYTES) - Math.floor(at / LEAF_BYTES) + (isEnd ? 1 : 0);
    const index = releases.push(0) - 1;
    const release = (): void => {
      releases[index] = (releases[index] as number) + 1;
    };
    const frame: Frame = { type: 'data', stream: 1, header: new Uint8Array(0), payload, release };
    take(assembly.add(frame, ends), assembly);
    at = end;
  }
  expect(assembly.pendingBytes).toBe(0);
  return releases;
}

test('any cut gives the same leaves; each frame is released once', () => {
  const bytes = bytesOf(3 * LEAF_BYTES + 12_345);
  const size = fc.oneof(fc.integer({ min: 9_000, max: 5 * LEAF_BYTES }), fc.constantFrom(LEAF_BYTES / 16, LEAF_BYTES, 2 * LEAF_BYTES));
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 5 }), (chunks) => {
      const found: Uint8Array[] = [];
      const releases = cut(bytes, chunks, (leaves) => {
        for (const leaf of leaves) found.push(leaf.bytes.slice());
        for (const leaf of leaves) leaf.release();
      });
      expect(found.map(({ length }) => length)).toEqual([LEAF_BYTES, LEAF_BYTES, LEAF_BYTES, 12_345]);
      expect(Buffer.compare(Buffer.concat(found), bytes)).toBe(0);
      expect(new Set(releases)).toEqual(new Set([1]));
    }),
    { seed: 11, numRuns: 40 },
  );
});

test('a whole leaf is not copied; its frame is released with its last leaf', () => {
  const held: HeldLeaf[] = [];
  const releases = cut(bytesOf(2 * LEAF_BYTES), [2 * LEAF_BYTES], (leaves) => held.push(...leaves));
  expect(held[0]?.bytes.buffer).toBe(held[1]?.bytes.buffer);
  expect(releases).toEqual([0]);
  held[0]?.release();
  expect(releases).toEqual([0]);
  held[1]?.release();
  expect(releases).toEqual([1]);
});

test('what was not released is not written over', () => {
  const bytes = bytesOf(4 * LEAF_BYTES);
  const held: HeldLeaf[] = [];
  cut(bytes, [LEAF_BYTES / 4], (leaves) => held.push(...leaves));
  expect(Buffer.compare(Buffer.concat(held.map((leaf) => leaf.bytes)), bytes)).toBe(0);
});
