// Frames come out unchanged, however the network splits them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameMemory } from './frame-memory.js';
import { FrameSplitter } from './frame-splitter.js';

function framed(frames: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(frames.flatMap((frame) => [Buffer.from(Uint32Array.of(frame.length).buffer), frame]));
}

test('gives the frames back from any cuts', () => {
  const frame = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 20 }),
    fc.integer({ min: 4_000, max: 140_000 }).map((size) => new Uint8Array(size).map((_, i) => i * size)),
  );
  const cut = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 3_000, max: 70_000 }));
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 8 }), fc.array(cut, { minLength: 1, maxLength: 50 }), (frames, cuts) => {
      const splitter = new FrameSplitter(200_000);
      const bytes = framed(frames);
      const out: Uint8Array[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        // A few cuts of one byte, then large ones, so that a case stays quick.
        const take = i < 3_000 ? (cuts[i % cuts.length] as number) : 50_000;
        out.push(...splitter.push(bytes.slice(at, at + take)));
        at += take;
      }
      expect(splitter.pendingBytes).toBe(0);
      expect(out.length).toBe(frames.length);
      for (const [i, one] of out.entries()) expect(Buffer.compare(one, frames[i] as Uint8Array)).toBe(0);
    }),
    { seed: 5, numRuns: 200 },
  );
});

test('gives the frames back where their memory is used again, and large ones follow each other or do not', () => {
  const size = fc.oneof(
    fc.constant(100_000),
    fc.integer({ min: 1, max: 40 }),
    fc.constant(100_001),
    fc.integer({ min: 70_000, max: 140_000 }),
  );
  fc.assert(
    fc.property(
      fc.array(size, { minLength: 1, maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 250_000 }), { minLength: 1 }),
      (sizes, cuts) => {
        const memory = new FrameMemory();
        const splitter = new FrameSplitter(200_000, memory);
        const frames = sizes.map((length, n) => new Uint8Array(length).map((_, i) => i * (n + 3)));
        const bytes = framed(frames);
        let out = 0;
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const room = splitter.room();
          const take = Math.min(room.length, cuts[i % cuts.length] as number, bytes.length - at);
          room.set(bytes.subarray(at, at + take));
          at += take;
          for (const frame of splitter.filled(take)) {
            expect(Buffer.compare(frame, frames[out] as Uint8Array)).toBe(0);
            if (out++ % 3 < 2) memory.giveBack(frame);
          }
        }
        expect(out).toBe(frames.length);
      },
    ),
    { seed: 6, numRuns: 300 },
  );
});

test.each([
  ['nothing', [0, 0, 0, 0]],
  ['more than the limit', [0xe9, 3, 0, 0]],
  ['four gigabytes', [255, 255, 255, 255]],
  ['an HTTP request', [...Buffer.from('GET / HTTP/1.1')]],
  ['a TLS greeting', [0x16, 3, 1, 2, 0, 1]],
])('refuses a frame that announces %s', (_, bytes) => {
  const whole = new FrameSplitter(1000);
  expect(() => whole.push(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: 'limit' }));
  const dripped = new FrameSplitter(1000);
  expect(() => {
    for (const byte of bytes) dripped.push(Uint8Array.of(byte));
  }).toThrow(expect.objectContaining({ code: 'limit' }));
});

test('a peer that sends single bytes costs no more than its bytes', () => {
  const size = 2 ** 21;
  const splitter = new FrameSplitter(size);
  splitter.push(Uint8Array.from(Buffer.from(Uint32Array.of(size).buffer)));
  const before = process.memoryUsage();
  const byte = Uint8Array.of(7);
  for (let i = 0; i < size - 1; i++) splitter.push(byte);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  // Two million views, kept one by one, would take more than 200 MB; memory that the collector has
  // not freed yet is far below that.
  expect(grown).toBeLessThan(120e6);
  const [frame] = splitter.push(byte);
  expect(frame?.length).toBe(size);
  expect(frame?.every((value) => value === 7)).toBe(true);
});
