// The checksum: the kernel is the reference, and both are the published XXH3.
import { createXXHash3 } from 'hash-wasm';
import { expect, test } from 'vitest';
import { checksumKernel } from './checksum-kernel.js';
import { xxh3 } from './xxh3.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const some = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i * 31 + i) >> 3);

/** Every way of hashing has its lengths; around them, around a block (1,024) and around the kernel's stage (65,536). */
const LENGTHS = [
  ...Array.from({ length: 1100 }, (_, i) => i),
  ...[
    2047, 2048, 2049, 4095, 4096, 65_471, 65_472, 65_473, 65_535, 65_536, 65_537, 65_599, 65_600, 66_560, 131_071, 131_072, 131_073,
    299_999,
  ],
];

test('kernel, reference and an independent library agree on every length', async () => {
  const kernel = checksumKernel();
  const oracle = await createXXHash3();
  for (const length of LENGTHS) {
    const bytes = some.subarray(1, 1 + length);
    const right = oracle.init().update(bytes).digest('hex');
    expect(hex(kernel(bytes)), `kernel, ${length} bytes`).toBe(right);
    expect(hex(xxh3(bytes)), `reference, ${length} bytes`).toBe(right);
  }
});

test('what was hashed before leaves no trace', () => {
  const kernel = checksumKernel();
  const fresh = (length: number): string => hex(checksumKernel()(some.subarray(0, length)));
  for (const length of [70_000, 3, 241, 0, 299_999, 240]) expect(hex(kernel(some.subarray(0, length)))).toBe(fresh(length));
});
