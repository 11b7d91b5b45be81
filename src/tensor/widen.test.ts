// Halves and bfloat16 to float32 and back.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { narrowBf16, widenBf16 } from './bfloat16.js';
import { narrowF16, widenF16 } from './float16.js';
import { narrowInto, widenInto } from './widen.js';

test('every half and every bfloat16 comes back from float32 as it was', () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    if (!Number.isNaN(widenF16(bits))) expect(narrowF16(widenF16(bits))).toBe(bits);
    if (!Number.isNaN(widenBf16(bits))) expect(narrowBf16(widenBf16(bits))).toBe(bits);
  }
});

test('narrowing goes to the nearest, ties to even', () => {
  expect(narrowF16(65519)).toBe(0x7bff);
  expect(narrowF16(65520)).toBe(0x7c00);
  expect(narrowF16(1 + 2 ** -11)).toBe(0x3c00);
  expect(narrowF16(1 + 3 * 2 ** -11)).toBe(0x3c02);
  expect(narrowF16(2 ** -25)).toBe(0);
  expect(narrowF16(-(2 ** -24))).toBe(0x8001);
  expect(narrowF16(Number.NaN) & 0x7c00).toBe(0x7c00);
  expect(narrowBf16(1 + 2 ** -8)).toBe(0x3f80);
  expect(narrowBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
});

test('a half is never further than its neighbours', () => {
  fc.assert(
    fc.property(fc.float({ min: -65000, max: 65000, noNaN: true }), (value) => {
      const bits = narrowF16(value);
      const error = Math.abs(widenF16(bits) - value);
      for (const other of [bits - 1, bits + 1]) {
        const neighbour = widenF16(other & 0xffff);
        if (Number.isFinite(neighbour)) expect(error).toBeLessThanOrEqual(Math.abs(neighbour - value));
      }
    }),
  );
});

test.each(['F32', 'F16', 'BF16'] as const)('%s bytes go to float32 and back, at any alignment', (dtype) => {
  const bytes = new Uint8Array(17).subarray(1);
  for (let i = 0; i < 16; i++) bytes[i] = (i * 5) % 0x3c;
  const values = widenInto(dtype, bytes, new Float32Array(8));
  expect([...narrowInto(dtype, values, new Uint8Array(16))]).toEqual([...bytes]);
});
