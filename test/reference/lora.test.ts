// Averages of adapters against plain NumPy in float64: products, not factors, over random ranks,
// shapes, weights and numbers of sites.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { besideFactor } from '../../src/tensor/lora-pairs.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { tensorValues } from '../../src/tensor/tensor-values.js';
import { type Given, oneRound } from '../../src/testing/aggregator-samples.js';
import type { Contribution } from '../../src/workflow/aggregate/aggregator.js';
import { mean } from '../../src/workflow/aggregate/mean.js';
import { LORA_STATE, loraAggregator } from '../../src/workflow/lora/lora-aggregator.js';
import { breadth } from '../breadth.js';
import { Reference, type ReferenceResult, toBase64, withoutNumpy } from './numpy.js';

const ROUNDS = 3;
const codecs = nodeCodecs();
const A = 'q.lora_A.weight';
const B = 'q.lora_B.weight';

let reference: Reference;
beforeAll(() => {
  if (!withoutNumpy) reference = new Reference();
});
afterAll(() => reference?.close());

const cases = fc.record({
  rank: fc.integer({ min: 1, max: 6 }),
  outputs: fc.integer({ min: 6, max: 40 }),
  inputs: fc.integer({ min: 6, max: 40 }),
  samples: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 }),
  apart: fc.constantFrom(0.01, 0.3, 1),
  seed: fc.integer({ min: 1, max: 1e6 }),
});

/** Values between −1 and 1 that follow from a seed. */
const values = (seed: number, count: number, size: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => size * Math.sin((i + 1) * 12.9898 * (1 + (seed % 97) / 97) + seed));

const product = (b: Float32Array, a: Float32Array, outputs: number, inputs: number): Float64Array => {
  const rank = a.length / inputs;
  const found = new Float64Array(outputs * inputs);
  for (let i = 0; i < outputs; i++)
    for (let k = 0; k < rank; k++)
      for (let j = 0; j < inputs; j++)
        found[i * inputs + j] = (found[i * inputs + j] as number) + (b[i * rank + k] as number) * (a[k * inputs + j] as number);
  return found;
};

test.skipIf(withoutNumpy).each([
  ['svd', 'lora_svd', 2e-6],
  ['exact', 'lora_exact', 1e-5],
] as const)('lora %s gives the products that NumPy gives', async (type, rule, tolerance) => {
  const property = fc.asyncProperty(cases, async ({ rank, outputs, inputs, samples, apart, seed }) => {
    const dict = (a: Float32Array, b: Float32Array): StateDict =>
      memoryStateDict([
        { name: A, dtype: 'F32', shape: [rank, inputs], data: a },
        { name: B, dtype: 'F32', shape: [outputs, rank], data: b },
      ]);
    const aggregator = loraAggregator({ type }, mean);
    let state: Record<string, StateDict> = {};
    const found: Float64Array[] = [];
    const rounds: ReferenceResult[][] = [];
    const shared = values(seed, rank * inputs, 0.3);
    for (let round = 0; round < ROUNDS; round++) {
      const told: ReferenceResult[] = [];
      const results: Contribution[] = [];
      for (const [site, count] of samples.entries()) {
        const own = seed + 100 * round + 7 * site;
        const a = values(own, rank * inputs, apart).map((value, i) => value + (shared[i] as number));
        const b = values(own + 3, outputs * rank, 0.1);
        results.push({ site: `s${site}`, samples: count, model: dict(a, b), isUpdate: false });
        told.push({ samples: count, steps: 1, loss: 1, model: { [A]: toBase64(a), [B]: toBase64(b) } });
      }
      rounds.push(told);
      const previous = dict(shared, new Float32Array(outputs * rank));
      const made = await oneRound(aggregator, { results, previous } as unknown as Given, { state, codecs });
      state = { ...state, ...made.kept };
      const kept = state[LORA_STATE] as StateDict;
      const whole = product(await tensorValues(made.model, B), await tensorValues(made.model, A), outputs, inputs);
      if (type === 'exact' && samples.length > 1) {
        const [rows, columns] = [await tensorValues(kept, besideFactor(A, 'stack')), await tensorValues(kept, besideFactor(B, 'stack'))];
        for (const [i, value] of product(columns, rows, outputs, inputs).entries()) whole[i] = (whole[i] as number) + value;
      }
      found.push(whole);
    }
    const pairs = [{ a: A, b: B, rank, inputs, outputs }];
    const expected = await reference.models({ rule, options: { pairs }, previous: {}, rounds });
    for (const [round, model] of expected.entries()) {
      const wanted = model[A] as Float64Array;
      const size = Math.sqrt(wanted.reduce((sum, value) => sum + value * value, 0));
      const off = Math.sqrt(wanted.reduce((sum, value, i) => sum + (value - (found[round]?.[i] as number)) ** 2, 0));
      expect(off, `round ${round + 1}`).toBeLessThanOrEqual(tolerance * size);
    }
  });
  await fc.assert(property, { numRuns: breadth(100, 15), seed: 17 });
});
