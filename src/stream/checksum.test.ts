// The checksum: the kernel equals the reference, and both are the published XXH3.
import { createXXHash3 } from 'hash-wasm';
import { expect, test } from 'vitest';
import { ChecksumKernel } from './checksum-kernel.js';
import { checksumOf, hashedMemory } from './hashed-memory.js';
import { xxh3 } from './xxh3.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const some = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i * 31 + i) >> 3);

/**
 * Each way of hashing has its own range of lengths: lengths around those limits, around a block
 * (1,024) and around the kernel's stage (32,768).
 */
const LENGTHS = [
  ...Array.from({ length: 1100 }, (_, i) => i),
  ...[
    2047, 2048, 2049, 4095, 4096, 32_703, 32_704, 32_705, 32_767, 32_768, 32_769, 32_831, 32_832, 33_792, 65_471, 65_472, 65_473, 65_535,
    65_536, 65_537, 65_599, 65_600, 66_560, 131_071, 131_072, 131_073, 299_999,
  ],
];

test('kernel, reference and an independent library agree on every length', async () => {
  const kernel = new ChecksumKernel();
  const slot = hashedMemory(1)(some.length);
  const oracle = await createXXHash3();
  for (const length of LENGTHS) {
    const bytes = some.subarray(1, 1 + length);
    const right = oracle.init().update(bytes).digest('hex');
    expect(hex(kernel.of(bytes)), `kernel, ${length} bytes`).toBe(right);
    slot.set(bytes, 3);
    expect(hex(checksumOf(slot.subarray(3, 3 + length))), `in place, ${length} bytes`).toBe(right);
    expect(hex(xxh3(bytes)), `reference, ${length} bytes`).toBe(right);
  }
});

test('what was hashed before leaves no trace', () => {
  const kernel = new ChecksumKernel();
  const fresh = (length: number): string => hex(new ChecksumKernel().of(some.subarray(0, length)));
  for (const length of [70_000, 3, 241, 0, 299_999, 240]) expect(hex(kernel.of(some.subarray(0, length)))).toBe(fresh(length));
});

test('memory is given out once, and what is larger or beyond it is common memory with the same checksums', () => {
  const allocate = hashedMemory(2);
  const [first, large, second, third] = [1000, 4 * 2 ** 20, 2 ** 20, 2 ** 20].map(allocate) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  expect([first, large, second, third].map(({ buffer }) => buffer === first.buffer)).toEqual([true, false, true, false]);
  expect([large.length, third.length]).toEqual([4 * 2 ** 20, 2 ** 20]);
  first.fill(1);
  second.fill(2);
  expect(first.every((byte) => byte === 1)).toBe(true);
  const same = [first, large, second, third].map((memory) => {
    memory.set(some);
    return hex(checksumOf(memory.subarray(0, some.length)));
  });
  expect(new Set(same).size).toBe(1);
});
