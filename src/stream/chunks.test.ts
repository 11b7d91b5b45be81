// Frames carry every byte once, in order, and the checksum of each leaf with its end.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { firstChunk, type UnsentLeaf } from './chunks.js';
import { LEAF_BYTES } from './leaf-sums.js';
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from './stream-frames.js';

const powers = Math.log2(MAX_CHUNK_BYTES / MIN_CHUNK_BYTES);
const chunkSize = fc.integer({ min: 0, max: powers }).map((power) => MIN_CHUNK_BYTES * 2 ** power);

test('chunks are never more than is wanted, and end leaves where they end', () => {
  const property = fc.property(
    fc.integer({ min: 0, max: 5 }),
    fc.integer({ min: 1, max: LEAF_BYTES }),
    fc.array(chunkSize, { minLength: 1 }),
    (whole, last, sizes) => {
      const object = new Uint8Array(whole * LEAF_BYTES + last);
      const leaves: UnsentLeaf[] = Array.from({ length: whole + 1 }, (_, i) => ({
        bytes: object.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES),
        sum: Uint8Array.of(i),
      }));
      let at = 0;
      let rest: readonly UnsentLeaf[] = leaves;
      for (let turn = 0; rest.length > 0; turn++) {
        const wanted = sizes[turn % sizes.length] as number;
        const chunk = firstChunk(rest, wanted);
        expect(chunk.bytes).toBeLessThanOrEqual(wanted);
        expect(chunk.payload.map((part) => part.byteOffset)[0]).toBe(at);
        const end = at + chunk.payload.reduce((sum, part) => sum + part.length, 0);
        expect(end - at).toBe(chunk.bytes);
        // A leaf has gone out once all of its bytes have.
        const ended = leaves.filter(
          (leaf) => leaf.bytes.byteOffset + leaf.bytes.length > at && leaf.bytes.byteOffset + leaf.bytes.length <= end,
        );
        expect(chunk.sums).toEqual(ended.map((leaf) => leaf.sum));
        at = end;
        rest = chunk.rest;
      }
      expect(at).toBe(object.length);
    },
  );
  fc.assert(property, { seed: 11 });
});
