// Frames are hashed while they arrive, however they are cut and whatever arrives between them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeFrame, encodeFrame } from '../frame/frame.js';
import { ChecksumKernel } from './checksum-kernel.js';
import { hashedFrames } from './hashed-frames.js';
import { checksumOf } from './hashed-memory.js';
import { LEAF_BYTES } from './leaf-sums.js';
import { encodeDataHeader } from './stream-frames.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const noise = Uint8Array.from({ length: LEAF_BYTES + 50_000 }, (_, i) => (i * i * 31 + i) >> 5);

/** A leaf, a part of one, more than one, a request as large, noise as large, a small frame. */
const KINDS = {
  leaf: () => data(LEAF_BYTES),
  short: () => data(LEAF_BYTES - 30),
  shorter: () => data(LEAF_BYTES - 500),
  part: () => data(LEAF_BYTES / 2),
  more: () => data(LEAF_BYTES + 40_000),
  request: (n: number) => Buffer.concat(encodeFrame('request', 1, undefined, noise.subarray(n, LEAF_BYTES + n))),
  noise: (n: number) => Buffer.from(noise.subarray(n, n + LEAF_BYTES + 40)),
  small: () => Buffer.concat(encodeFrame('ping', 0)),
};

let seed = 0;
function data(bytes: number): Buffer {
  const payload = Buffer.from(noise.subarray(0, bytes));
  payload.writeUInt32LE(seed++, 500);
  return Buffer.concat(encodeFrame('data', 1, encodeDataHeader(0, [new Uint8Array(8)]), payload));
}

test('the checksums of leaves are those of their bytes', () => {
  const kernel = new ChecksumKernel();
  const kind = fc.constantFrom(...(Object.keys(KINDS) as (keyof typeof KINDS)[]), 'leaf' as const, 'leaf' as const);
  const cut = fc.oneof(fc.integer({ min: 1, max: 300_000 }), fc.constantFrom(1, 44, 1024, 1068, LEAF_BYTES));
  fc.assert(
    fc.property(fc.array(kind, { minLength: 1, maxLength: 8 }), fc.array(cut, { minLength: 5, maxLength: 40 }), (kinds, cuts) => {
      const { splitter, memory } = hashedFrames();
      const frames = kinds.map((name, n) => KINDS[name](n));
      const bytes = Buffer.concat(frames.flatMap((frame) => [Buffer.from(Uint32Array.of(frame.length).buffer), frame]));
      let seen = 0;
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const room = splitter.room();
        const take = Math.min(room.length, i < 200 ? (cuts[i % cuts.length] as number) : room.length, bytes.length - at);
        room.set(bytes.subarray(at, at + take));
        at += take;
        for (const frame of splitter.filled(take)) {
          // Some frames are dropped, as after a retry.
          if (kinds[seen++] !== 'noise' && seen % 3 > 0) {
            const { payload } = decodeFrame(frame);
            for (const leaf of [payload.subarray(0, LEAF_BYTES), payload.subarray(LEAF_BYTES)])
              expect(hex(checksumOf(leaf))).toBe(hex(kernel.of(leaf)));
          }
          memory.giveBack(frame);
        }
      }
      expect(seen).toBe(frames.length);
    }),
    { seed: 7, numRuns: 100 },
  );
});
