// `topk`: the values that it keeps, its bytes, and a federation with sparse updates.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { bitsOf, federate, someValues, type Values } from '../federation/scripted.js';

const codec = (name: string) => codecOf(referenceCodecs, parseCodecName(name, referenceCodecs));

function coded(name: string, from: Float32Array): Uint8Array {
  const bytes = new Uint8Array(codec(name).encodedBytes(from.length));
  codec(name).encode(from, bytes);
  return bytes;
}

function roundTrip(name: string, from: Float32Array): Float32Array {
  const decoded = new Float32Array(from.length).fill(7);
  codec(name).decode(coded(name, from), decoded);
  return decoded;
}

test('the bytes: an index and a value for each kept value; of equal ones the first', () => {
  const from = Float32Array.of(0.5, -2, 1, 0, 2, -1);
  expect(Buffer.from(coded('topk:0.5', from)).toString('hex')).toBe('0100000000c0' + '02000000803f' + '040000000040');
  expect([...roundTrip('topk:0.5', from)]).toEqual([0, -2, 1, 0, 2, 0]);
  expect([...roundTrip('topk:1', from)]).toEqual([...from]);
});

test('sizes: of each block of 16,384 the fraction, rounded up', () => {
  expect([0, 1, 100, 101, 16_384, 16_385, 262_144].map(codec('topk').encodedBytes)).toEqual([0, 6, 6, 12, 984, 990, 15_744]);
});

test('it keeps the largest of every block, and nothing else', () => {
  const values = fc.float32Array({ minLength: 1, maxLength: 300, noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(values, fc.double({ min: 0.0001, max: 1, noNaN: true }), (from, fraction) => {
      const decoded = new Float32Array(from.length);
      const of = codecOf(referenceCodecs, { codec: 'topk', parameters: { fraction } });
      const bytes = new Uint8Array(of.encodedBytes(from.length));
      of.encode(from, bytes);
      of.decode(bytes, decoded);
      const byMagnitude = [...from.keys()].sort((a, b) => Math.abs(from[b] as number) - Math.abs(from[a] as number) || a - b);
      const kept = new Set(byMagnitude.slice(0, bytes.length / 6));
      expect(bytes.length / 6).toBe(Math.ceil(fraction * from.length));
      for (const [i, value] of from.entries()) expect(decoded[i]).toBe(kept.has(i) ? value : 0);
    }),
    { seed: 3, numRuns: 300 },
  );
  const blocks = Float32Array.from({ length: 2 * 16_384 }, (_, i) => i);
  const decoded = roundTrip('topk:0.0001', blocks);
  expect([...decoded.keys()].filter((i) => decoded[i] !== 0)).toEqual([16_382, 16_383, 32_766, 32_767]);
});

test('false indices change no value outside their block, and add as they decode', () => {
  const bytes = coded('topk:0.5', Float32Array.of(1, 2, 3, 4));
  bytes.set([0xff, 0xff], 0);
  const around = new Float32Array(8).fill(7);
  codec('topk:0.5').decode(bytes, around.subarray(2, 6));
  expect([...around]).toEqual([7, 7, 0, 0, 0, 4, 7, 7]);
  bytes.set([3, 0], 0);
  const sum = Float32Array.of(1, 1, 1, 1);
  codec('topk:0.5').accumulate(bytes, 2, sum);
  expect([...sum]).toEqual([1, 1, 1, 9]);
});

test.each(['topk:0', 'topk:1.1', 'topk:x', 'topk:0.1:2'])('%s is refused', (name) => {
  expect(() => parseCodecName(name, referenceCodecs)).toThrow('behind topk may stand fraction, a number from 0.0001 to 1: as in topk:0.01');
});

test('a federation with sparse updates: error feedback sends the residual later', async () => {
  const step = (i: number): number => 1e-3 * (1 + (i % 50));
  const learn = (given: Values): Values =>
    Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((v, i) => v + step(i))]));
  const run = async (streaming: 'regular' | 'container' | 'file') => {
    const { master } = await federate({ quantize: { down: 'fp32', up: 'topk:0.05' }, streaming, rounds: 20 }, { a: { learn } });
    return master(20);
  };
  const model = await run('file');
  for (const streaming of ['regular', 'container'] as const) expect(bitsOf(await run(streaming))).toEqual(bitsOf(model));
  const start = someValues(1).w as Float32Array;
  const moved = (model.w as Float32Array).map((value, i) => value - (start[i] as number));
  // A twentieth in each round: after twenty rounds nearly all updates have arrived; the site has
  // the rest.
  const share = moved.reduce((sum, value) => sum + value, 0) / (20 * moved.reduce((sum, _, i) => sum + step(i), 0));
  expect(share).toBeGreaterThan(0.3);
  expect(share).toBeLessThan(1);
  expect(moved.filter((value) => value !== 0).length).toBeGreaterThan(0.4 * moved.length);
});
