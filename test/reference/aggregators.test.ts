// Every aggregator against plain NumPy in float64, over random state dicts: sizes, codings, weights
// and numbers of sites.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { decodeModel, encodeModel } from '../../src/codec/quantize.js';
import { choose } from '../../src/core/row.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { type Given, oneRound } from '../../src/testing/aggregator-samples.js';
import { AGGREGATORS } from '../../src/workflow/aggregate/aggregators.js';
import { breadth } from '../breadth.js';
import { Reference, type ReferenceResult, toBase64, withoutNumpy } from './numpy.js';
import { COMPARED, type ComparedRule } from './rules.js';

/** The largest difference, relative to the largest value of the tensor. */
const TOLERANCE = 1e-6;

/** What a rule multiplies the mean by, and with it the rounding of a mean in float32. */
const gainOf = (options: object): number => ('rate' in options && typeof options.rate === 'number' ? Math.max(1, options.rate) : 1);
const ROUNDS = 3;
const codecs = nodeCodecs();

let reference: Reference;
beforeAll(() => {
  if (!withoutNumpy) reference = new Reference();
});
afterAll(() => reference?.close());

type Values = Readonly<Record<string, Float32Array>>;

const shapes = fc.array(fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1000, max: 5000 })), { minLength: 1, maxLength: 3 });
const site = fc.record({
  samples: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 100, max: 1_000_000 })),
  steps: fc.integer({ min: 1, max: 500 }),
  loss: fc.integer({ min: 1, max: 400 }).map((hundredths) => hundredths / 100),
  scale: fc.constantFrom(1e-4, 1e-2, 1),
});
const caseOf = ({ options, leastSites = () => 1 }: ComparedRule) =>
  options.chain((chosen) =>
    fc.record({
      options: fc.constant(chosen),
      sizes: shapes,
      sites: fc.array(site, { minLength: leastSites(chosen), maxLength: leastSites(chosen) + 6 }),
      kind: fc.constantFrom(
        { isUpdate: true, codings: ['fp32'] },
        { isUpdate: true, codings: ['u4', 'fp32', 'nf4', 'bf16'] },
        { isUpdate: false, codings: ['fp32'] },
        { isUpdate: false, codings: ['bf16', 'fp16', 'fp32'] },
      ),
      chunkElements: fc.constantFrom(512, 1024, 1 << 18),
      seed: fc.integer({ min: 1, max: 1e6 }),
    }),
  );

/** Values of a bell shape from a seed: the same wherever the tests run. */
function normal(seed: number, count: number, scale: number): Float32Array {
  let state = (seed * 2654435761) >>> 0 || 1;
  const uniform = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => scale * (uniform() + uniform() + uniform() + uniform() - 2));
}

function dictOf(values: Values, chunkElements: number): StateDict {
  return memoryStateDict(
    Object.entries(values).map(([name, data]) => ({ name, dtype: 'F32', shape: [data.length], data })),
    { chunkElements },
  );
}

async function valuesOf(model: StateDict): Promise<Values> {
  const parts: Record<string, number[]> = {};
  for await (const { tensor, bytes } of decodeModel(model, codecs).chunks()) {
    const all = parts[tensor.name] ?? [];
    for (const value of new Float32Array(bytes.slice().buffer)) all.push(value);
    parts[tensor.name] = all;
  }
  return Object.fromEntries(Object.entries(parts).map(([name, all]) => [name, Float32Array.from(all)]));
}

const encoded = (values: Values): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([name, data]) => [name, toBase64(data)]));

function largest(values: ArrayLike<number>): number {
  let found = 0;
  for (let i = 0; i < values.length; i++) found = Math.max(found, Math.abs(values[i] as number));
  return found;
}

for (const rule of COMPARED) {
  test.skipIf(withoutNumpy)(`${rule.name} is what NumPy makes of it`, async () => {
    const property = fc.asyncProperty(caseOf(rule), async ({ options, sizes, sites, kind, chunkElements, seed }) => {
      const aggregator = choose(AGGREGATORS, { type: rule.name, ...options }, 'aggregator');
      const named = (at: (size: number, tensor: number) => Float32Array): Values =>
        Object.fromEntries(sizes.map((size, tensor) => [`t${tensor}`, at(size, tensor)]));
      const initial = named((size, tensor) => normal(seed + tensor, size, 0.5));
      let previous = initial;
      let state: Record<string, StateDict> = {};
      const found: Values[] = [];
      const rounds: ReferenceResult[][] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const base = dictOf(previous, chunkElements);
        const results: Given['results'][number][] = [];
        const told: ReferenceResult[] = [];
        for (const [i, { samples, steps, loss, scale }] of sites.entries()) {
          const change = named((size, tensor) => normal(seed + 1000 * (round + 1) + 50 * i + tensor, size, scale));
          const sent = kind.isUpdate
            ? change
            : named((size, tensor) =>
                Float32Array.from(
                  { length: size },
                  (_, at) => (previous[`t${tensor}`]?.[at] as number) + (change[`t${tensor}`]?.[at] as number),
                ),
              );
          const encoding = parseCodecName(kind.codings[i % kind.codings.length] as string, codecs);
          const model = encodeModel(dictOf(sent, chunkElements), () => encoding, codecs);
          const figures = { task: 't', samples, steps, trainLoss: loss, counts: {}, evaluation: { loss, samples } };
          // Names in the order of the numbers: it decides between sites that are as near.
          results.push({
            site: `s${String(i).padStart(2, '0')}`,
            samples,
            model,
            isUpdate: kind.isUpdate,
            figures,
            ...(kind.isUpdate && { base }),
          } as never);
          const travelled = encoded(await valuesOf(model));
          told.push({ samples, steps, loss, ...(kind.isUpdate ? { update: travelled } : { model: travelled }) });
        }
        rounds.push(told);
        const made = await oneRound(aggregator, { round: round + 1, results, previous: base } as unknown as Given, { state, codecs });
        state = { ...state, ...made.kept };
        previous = await valuesOf(made.model);
        found.push(previous);
      }
      const expected = await reference.models({ rule: rule.name, options, previous: encoded(initial), rounds });
      for (const [round, model] of expected.entries()) {
        for (const [name, values] of Object.entries(model)) {
          const own = found[round]?.[name] as Float32Array;
          const bound = TOLERANCE * gainOf(options) * Math.max(largest(values), largest(initial[name] as Float32Array));
          let off = 0;
          for (let i = 0; i < values.length; i++) off = Math.max(off, Math.abs((own[i] as number) - (values[i] as number)));
          expect(off, `${name} of round ${round + 1}`).toBeLessThanOrEqual(bound);
        }
      }
    });
    await fc.assert(property, { numRuns: breadth(60, 12), seed: 17 });
  });
}

test('every row of the table is compared', () => {
  expect(COMPARED.map(({ name }) => name).sort()).toEqual(AGGREGATORS.map(({ name }) => name).sort());
});
