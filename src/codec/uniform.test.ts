// The codecs `u1` to `u4`: sizes, error, and codes by the rule of docs/spec/codecs.md.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Encoding } from '../tensor/manifest.js';
import { codecNames, parseCodecName } from './codec-name.js';
import { codecTraits } from './codec-rows.js';
import { codecOf, referenceCodecs } from './codec-table.js';

const WIDTHS = [1, 2, 3, 4] as const;
const codec = (bits: number) => codecOf(referenceCodecs, { codec: `u${bits}` });

function coded(bits: number, from: Float32Array): Uint8Array {
  const bytes = new Uint8Array(codec(bits).encodedBytes(from.length));
  codec(bits).encode(from, bytes);
  return bytes;
}

function roundTrip(bits: number, from: Float32Array): Float32Array {
  const decoded = new Float32Array(from.length);
  codec(bits).decode(coded(bits, from), decoded);
  return decoded;
}

/** Values distributed as in updates: flatter than a normal distribution. */
function update(length: number): Float32Array {
  let state = 7;
  const even = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length }, () => 0.002 * (even() + even() + even() - 1.5));
}

test.each(WIDTHS)('u%i: whole blocks take an eighth of a bit a value more than their codes', (bits) => {
  const chunk = 262_144;
  expect((8 * codec(bits).encodedBytes(chunk)) / chunk).toBe(bits + 0.125);
  const sizes = { 1: [3, 3, 4, 21, 47], 2: [3, 4, 5, 37, 87], 3: [5, 5, 8, 55, 129], 4: [3, 6, 7, 69, 167] }[bits];
  expect([1, 8, 9, 129, 321].map((n) => codec(bits).encodedBytes(n))).toEqual(sizes);
});

test.each([
  [1, 0.55],
  [2, 0.12],
  [3, 0.03],
  [4, 0.009],
])('u%i: what an update loses is within its budget, and its length along itself is kept', (bits, budget) => {
  const from = update(128 * 400);
  const decoded = roundTrip(bits, from);
  let lost = 0;
  let along = 0;
  let square = 0;
  for (const [i, value] of from.entries()) {
    lost += (value - (decoded[i] as number)) ** 2;
    along += value * (decoded[i] as number);
    square += value * value;
  }
  expect(lost / square).toBeLessThan(budget);
  expect(along / square).toBeCloseTo(1, 3);
});

test.each(WIDTHS)('u%i: decoded values are odd multiples of the scale, finite, with the signs of the input', (bits) => {
  fc.assert(
    fc.property(fc.float32Array({ minLength: 1, maxLength: 128, noNaN: true, noDefaultInfinity: true }), (from) => {
      const bytes = coded(bits, from);
      const scale = new Float32Array(Uint8Array.of(0, 0, bytes[0] as number, bytes[1] as number).buffer)[0] as number;
      const decoded = roundTrip(bits, from);
      const top = from.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      for (const [i, value] of decoded.entries()) {
        expect(Number.isFinite(value)).toBe(true);
        if (scale === 0) expect(value).toBe(0);
        else expect(Math.abs((value / scale) % 2)).toBe(1);
        if (scale > 0 && Math.abs(from[i] as number) > top * 1e-6) expect(Math.sign(value)).toBe(Math.sign(from[i] as number));
      }
    }),
  );
});

test.each(WIDTHS)('u%i: values whose squares overflow are coded as the same ones at a size that does not', (bits) => {
  const from = update(128);
  const huge = from.map((value) => value * 2 ** 80);
  expect(coded(bits, huge).subarray(2)).toEqual(coded(bits, from).subarray(2));
  expect(roundTrip(bits, huge)).toEqual(roundTrip(bits, from).map((value) => value * 2 ** 80));
});

test.each(WIDTHS)('u%i: the largest float32 stays finite', (bits) => {
  const most = 3.4028234663852886e38;
  const decoded = roundTrip(bits, Float32Array.of(most, -most, most));
  expect(decoded.every(Number.isFinite)).toBe(true);
  expect((decoded[0] as number) / most).toBeGreaterThan(0.99);
});

test('values that are no numbers are named by their place, wherever the block', () => {
  for (const bits of WIDTHS) {
    const from = update(300);
    from[299] = Number.NaN;
    from[200] = Number.NEGATIVE_INFINITY;
    expect(() => coded(bits, from)).toThrow('element 200 is -Infinity');
  }
});

test.each([
  [{ codec: 'u4', blockSize: 64 }, /u4 has no block size 64/],
  [{ codec: 'u1', blockSize: 256 }, /u1 has no block size 256/],
  [{ codec: 'u3', blockSize: 128, nested: true }, /u3 has no nested scales/],
])('an encoding that cannot be is refused: %o', (encoding, message) => {
  expect(() => codecOf(referenceCodecs, encoding)).toThrow(
    expect.objectContaining({ code: 'bad-manifest', message: expect.stringMatching(message) }),
  );
});

test('their names take no other block size', () => {
  for (const bits of WIDTHS) {
    expect(parseCodecName(`u${bits}`, referenceCodecs)).toEqual({ codec: `u${bits}`, blockSize: 128 });
    expect(parseCodecName(`u${bits}:128`, referenceCodecs)).toEqual(parseCodecName(`u${bits}`, referenceCodecs));
    expect(() => parseCodecName(`u${bits}:64`, referenceCodecs)).toThrow(`blocks of u${bits} always have 128 values`);
    expect(() => parseCodecName(`u${bits}-nested`, referenceCodecs)).toThrow(/no codec/);
  }
});

test('every codec that has a name has its traits', () => {
  const traits = (codec: string) => codecTraits(referenceCodecs, { codec } as Encoding);
  for (const encoding of codecNames(referenceCodecs).map((name) => parseCodecName(name, referenceCodecs)))
    expect(codecTraits(referenceCodecs, encoding).bits).toBeGreaterThan(0);
  for (const name of ['blockwise8', 'fp4', 'nf4', 'u3', 'u4']) expect(traits(name).feedback).toBe(true);
  for (const name of ['raw', 'fp16', 'bf16', 'u1', 'u2']) expect(traits(name).feedback).toBe(false);
  expect(['raw', 'bf16', 'blockwise8', 'nf4', 'u3', 'u1'].map((name) => traits(name).bits)).toEqual([32, 16, 8, 4, 3, 1]);
  for (const name of ['zip', 'toString']) expect(() => traits(name)).toThrow(/there is no codec/);
});
