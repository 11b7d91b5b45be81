// The trainer's matrix kernel against a plain product in the same order of float32 operations.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { randomStream } from '../../src/core/random.js';
import { instantiateKernels } from '../../src/trainer/llama/kernels.js';

const memory = new WebAssembly.Memory({ initial: 64, maximum: 65_536, shared: true });
const kernels = instantiateKernels(new WebAssembly.Module(readFileSync(new URL('../../dist/wasm/llama.wasm', import.meta.url))), memory);
const [A, B, C, SCRATCH] = [1 << 16, 1 << 20, 2 << 20, 3 << 20] as const;

/** Sums over k in blocks of 256, each from 0; a block is added to what is there. */
function referenceProduct(
  a: (i: number, p: number) => number,
  b: (p: number, j: number) => number,
  c: Float32Array,
  [m, n, k]: readonly number[],
  accumulate: number,
): Float32Array {
  const { fround } = Math;
  const [rows, columns, depth] = [m as number, n as number, k as number];
  const out = c.slice();
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let from = 0; from < depth; from += 256) {
        let sum = 0;
        for (let p = from; p < Math.min(depth, from + 256); p++) sum = fround(sum + fround(a(i, p) * b(p, j)));
        const at = i * columns + j;
        out[at] = accumulate || from > 0 ? fround((out[at] as number) + sum) : sum;
      }
    }
  }
  return out;
}

const floats = (at: number, count: number): Float32Array => new Float32Array(memory.buffer, at, count);

// Heights of every remainder of panels of 5 and 4 rows, and more than a block of 64.
test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 32, 67, 131])('%i rows: every layout gives the sums of the reference', (m) => {
  const random = randomStream(m, 'gemm');
  for (const [n, k] of [
    [8, 1],
    [9, 5],
    [24, 257],
    [17, 300],
  ] as const) {
    const [a, b, c] = [floats(A, m * k), floats(B, k * n), floats(C, m * n)];
    for (const values of [a, b]) for (let i = 0; i < values.length; i++) values[i] = random.normal();
    for (const rowsOfA of [true, false]) {
      for (const rowsOfB of [true, false]) {
        for (const accumulate of [0, 1]) {
          for (let i = 0; i < c.length; i++) c[i] = random.normal();
          const [ars, acs] = rowsOfA ? [k, 1] : [1, m];
          const [brs, bcs] = rowsOfB ? [n, 1] : [1, k];
          const of = (values: Float32Array, at: number): number => values[at] as number;
          const expected = referenceProduct(
            (i, p) => of(a, i * ars + p * acs),
            (p, j) => of(b, p * brs + j * bcs),
            c,
            [m, n, k],
            accumulate,
          );
          kernels.gemm(A, ars, acs, B, brs, bcs, C, n, m, n, k, accumulate, SCRATCH);
          expect(Buffer.from(c.slice().buffer).equals(Buffer.from(expected.buffer)), `${n} × ${k}`).toBe(true);
        }
      }
    }
  }
});
