// Every half, and the float32 values at which rounding to halves changes: the kernels give the bits
// of the reference.
import { expect, test } from 'vitest';
import type { Codec } from '../../src/codec/codec.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { widenF16 } from '../../src/tensor/float16.js';
import { narrowInto } from '../../src/tensor/widen.js';

const EVERY = 2 ** 16;
const INFINITE = 0x7c00;
const [reference, kernel] = [referenceCodecs, nodeCodecs()].map((table) => codecOf(table, { codec: 'fp16' })) as [Codec, Codec];

/** Halves and the midpoints above them, each with its neighbours in float32, of both signs. */
function roundedValues(end: number): Float32Array {
  const values: number[] = [];
  for (let half = 0; half < end; half++) {
    const value = widenF16(half);
    const next = half + 1 === INFINITE ? 2 ** 16 : widenF16(half + 1);
    for (const at of [value, (value + next) / 2]) values.push(at, at + next * 2 ** -23, at - value * 2 ** -24);
  }
  return Float32Array.from([...values, ...values.map((value) => -value)]);
}

function encoded(codec: Codec, values: Float32Array): { codes: Uint8Array; saturated: number } {
  const codes = new Uint8Array(codec.encodedBytes(values.length));
  return { codes, saturated: codec.encode(values, codes).saturated };
}

function decoded(codec: Codec, codes: Uint8Array): Uint32Array {
  const values = new Float32Array(codes.length / 2);
  codec.decode(codes, values);
  return new Uint32Array(values.buffer);
}

test.each([
  ['below 2^15', 0x7800],
  ['and all finite ones', INFINITE],
])('values around every half are coded as the reference does, %s', (_, end) => {
  const values = roundedValues(end);
  const expected = encoded(reference, values);
  const coded = encoded(kernel, values);
  expect(coded.saturated).toBe(expected.saturated);
  expect(Buffer.compare(coded.codes, expected.codes)).toBe(0);
  expect(new Uint16Array(expected.codes.buffer)[6 * 0x3c00]).toBe(0x3c00);
});

test('float32 subnormals and zeros are coded as zeros of their sign', () => {
  const tiny = Float32Array.from([0, -0, 2 ** -149, -(2 ** -149), 2 ** -127, -(2 ** -126), 2 ** -25, -(2 ** -25)]);
  expect([...new Uint16Array(encoded(kernel, tiny).codes.buffer)]).toEqual([0, 0x8000, 0, 0x8000, 0, 0x8000, 0, 0x8000]);
});

test('every half is decoded as the reference does, infinities too; a NaN stays one', () => {
  const halves = Uint16Array.from({ length: EVERY }, (_, half) => half);
  const [expected, values] = [reference, kernel].map((codec) => decoded(codec, new Uint8Array(halves.buffer)));
  const beyond = (half: number): boolean => (half & 0x7fff) > INFINITE;
  const differs = [...halves].filter((half) => (beyond(half) ? false : expected?.[half] !== values?.[half]));
  expect(differs).toEqual([]);
  // The payload of a NaN is kept: its ten bits are the upper ten of float32.
  const asItIs = (half: number): number => (((half & 0x8000) << 16) | 0x7f800000 | ((half & 0x3ff) << 13)) >>> 0;
  expect([...halves].filter((half) => beyond(half) && values?.[half] !== asItIs(half))).toEqual([]);
});

test('the dtype F16 rounds beyond its range to infinities, and keeps NaNs', () => {
  const codes = new Uint8Array(Uint16Array.from({ length: EVERY }, (_, word) => word).buffer);
  const bytes = new Uint8Array(2 * EVERY);
  codecOf(nodeCodecs(), { codec: 'bf16' }).decodeRaw?.(codes, EVERY, { dtype: 'F16', bytes });
  const values = new Float32Array(EVERY);
  codecOf(referenceCodecs, { codec: 'bf16' }).decode(codes, values);
  expect(Buffer.compare(bytes, narrowInto('F16', values, new Uint8Array(2 * EVERY)))).toBe(0);
});
