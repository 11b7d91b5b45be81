// Every optimizer against the same rounds in float64, over sites that come and go, tensors that only
// some rounds have, updates and whole weights, weight decay and schedules.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../codec/codec-table.js';
import { randomStream } from '../../core/random.js';
import { elementCount } from '../../tensor/dtype.js';
import { type MemoryTensor, memoryStateDict } from '../../tensor/memory-state-dict.js';
import type { NamedDicts } from '../../tensor/named-dicts.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { Aggregator, Contribution } from './aggregator.js';
import { AGGREGATORS } from './aggregators.js';
import { mean } from './mean.js';
import { rateOf } from './rate-schedule.js';

type Values = Record<string, Float64Array>;

const SHAPES: Readonly<Record<string, readonly number[]>> = { a: [33], b: [20, 5], c: [], d: [7] };
const CHUNK = 16;
const ROUNDS = 6;

function dict(values: Values, names = Object.keys(SHAPES)): StateDict {
  const tensors = Object.keys(SHAPES)
    .filter((name) => names.includes(name) && name in values)
    .map(
      (name): MemoryTensor => ({
        name,
        dtype: 'F32',
        shape: SHAPES[name] as number[],
        data: Float32Array.from(values[name] as Float64Array),
      }),
    );
  return memoryStateDict(tensors, { chunkElements: CHUNK });
}

/** Reads the model and what is kept in one go. */
async function readTogether(next: Awaited<ReturnType<Aggregator>>): Promise<{ model: Values; state: NamedDicts }> {
  const parts = new Map<string, number[]>();
  const add = (key: string, bytes: Uint8Array): void => {
    parts.set(key, [...(parts.get(key) ?? []), ...new Float32Array(bytes.slice().buffer)]);
  };
  const all =
    next.together?.chunks() ??
    (async function* () {
      for await (const chunk of next.chunks()) yield { chunk };
    })();
  for await (const made of all) {
    if ('chunk' in made) add(`model/${made.chunk.tensor.name}`, made.chunk.bytes);
    else add(`state/${made.name}`, made.bytes);
  }
  const model: Values = {};
  for (const name of Object.keys(SHAPES)) model[name] = Float64Array.from(parts.get(`model/${name}`) as number[]);
  const state: Record<string, StateDict> = {};
  for (const [name, { tensors }] of Object.entries(next.together?.manifests ?? {})) {
    let at = 0;
    const values: Values = {};
    for (const tensor of tensors) {
      const count = elementCount(tensor.shape);
      values[tensor.name] = Float64Array.from((parts.get(`state/${name}`) ?? []).slice(at, at + count));
      at += count;
    }
    expect(at).toBe(parts.get(`state/${name}`)?.length);
    state[name] = dict(values);
  }
  return { model, state };
}

/** The aggregator of a job that says this. */
function made(type: string, options: Readonly<Record<string, unknown>>): Aggregator {
  const row = AGGREGATORS.find(({ name }) => name === type) as (typeof AGGREGATORS)[number];
  return row.make(row.options.parse(options) as never);
}

interface Numbers {
  readonly rate: number;
  readonly weightDecay?: number;
  readonly momentum?: number;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly tau?: number;
}

/** One value's step by the papers, in float64; the moments are changed in place. */
function moved(type: string, x: number, g: number, moments: { m: number; v: number }, o: Numbers, rate: number): number {
  const kept = x * (1 - rate * (o.weightDecay ?? 0));
  if (type === 'sgd') return kept + rate * g;
  if (type === 'momentum' || type === 'nesterov') {
    moments.m = (o.momentum as number) * moments.m + g;
    return kept + rate * (type === 'nesterov' ? g + (o.momentum as number) * moments.m : moments.m);
  }
  const { beta1 = 0, beta2 = 0, tau = 0 } = o;
  moments.m = beta1 * moments.m + (1 - beta1) * g;
  if (type === 'adam') moments.v = beta2 * moments.v + (1 - beta2) * g * g;
  else if (type === 'adagrad') moments.v += g * g;
  else moments.v -= (1 - beta2) * g * g * Math.sign(moments.v - g * g);
  return kept + (rate * moments.m) / (Math.sqrt(moments.v) + tau);
}

/** Who answers in each round, and with which tensors; in round 4 nobody has `b`, and `d` is new in round 3. */
const SITES = [['a', 'b', 'c'], ['a'], ['b', 'c', 'd'], ['a', 'd'], ['c'], ['a', 'b', 'c', 'd']];
const TENSORS = [['a', 'b'], ['a', 'b'], ['a', 'b', 'd'], ['a', 'd'], ['a', 'b', 'd'], ['b']];

const CASES: readonly (readonly [type: string, options: Numbers & Record<string, unknown>])[] = [
  ['sgd', { rate: 0.5, weightDecay: 0.01 }],
  ['momentum', { rate: 0.9, momentum: 0.9 }],
  ['nesterov', { rate: 0.7, momentum: 0.9, weightDecay: 0.02 }],
  ['nesterov', { rate: 0.8, momentum: 0.5, schedule: 'cosine', warmupRounds: 2 }],
  ['adam', { rate: 0.02, beta1: 0.9, beta2: 0.99, tau: 1e-3 }],
  ['adam', { rate: 0.02, beta1: 0, beta2: 0.9, tau: 1e-2, weightDecay: 0.1, schedule: 'linear' }],
  ['adagrad', { rate: 0.02, beta1: 0, tau: 1e-3 }],
  ['adagrad', { rate: 0.02, beta1: 0.5, tau: 1e-3 }],
  ['yogi', { rate: 0.02, beta1: 0.9, beta2: 0.99, tau: 1e-3 }],
];

test.each(CASES.flatMap(([type, options]) => [true, false].map((isUpdate) => [type, options, isUpdate] as const)))(
  '%s %j, updates: %s',
  async (type, options, isUpdate) => {
    const random = randomStream(3, type);
    const draw = (size: number): Values =>
      Object.fromEntries(
        Object.entries(SHAPES).map(([name, shape]) => [
          name,
          Float64Array.from({ length: elementCount(shape) }, () => Math.fround(size * random.normal())),
        ]),
      );
    let model = draw(0.3);
    let state: NamedDicts = {};
    const expected = Object.fromEntries(Object.entries(model).map(([name, values]) => [name, values.slice()])) as Values;
    const moments = Object.fromEntries(
      Object.entries(model).map(([name, values]) => [name, Array.from(values, () => ({ m: 0, v: (options.tau ?? 0) ** 2 }))]),
    );
    for (let round = 1; round <= ROUNDS; round++) {
      const names = TENSORS[round - 1] as string[];
      const changes = (SITES[round - 1] as string[]).map((site, i) => ({ site, samples: 1 + 2 * i, change: draw(1e-2) }));
      const total = changes.reduce((sum, { samples }) => sum + samples, 0);
      const previous = dict(model);
      const results = changes.map(({ site, samples, change }): Contribution => {
        const sent = isUpdate
          ? change
          : (Object.fromEntries(
              Object.entries(change).map(([name, values]) => [name, values.map((value, i) => value + (model[name]?.[i] as number))]),
            ) as Values);
        return { site, samples, model: dict(sent, names), isUpdate, ...(isUpdate && { base: previous }) };
      });
      const rate = rateOf(options, round, ROUNDS);
      for (const name of names)
        for (let i = 0; i < (expected[name] as Float64Array).length; i++) {
          const g = changes.reduce((sum, { samples, change }) => sum + (samples / total) * (change[name]?.[i] as number), 0);
          (expected[name] as Float64Array)[i] = moved(
            type,
            expected[name]?.[i] as number,
            g,
            moments[name]?.[i] as { m: number; v: number },
            options,
            rate,
          );
        }
      const input = { results, previous, state, codecs: referenceCodecs, integers: 'refuse', round, rounds: ROUNDS, keep } as const;
      const after = await readTogether(await made(type, options)(input));
      model = after.model;
      state = { ...state, ...after.state };
      for (const [name, values] of Object.entries(model))
        for (const [i, value] of values.entries())
          expect(Math.abs(value - (expected[name]?.[i] as number))).toBeLessThan(isUpdate ? 2e-6 : 2e-5);
    }
    // A tensor that no result ever had was never touched, and has no moments.
    for (const { manifest } of Object.values(state)) expect(manifest.tensors.map(({ name }) => name)).toEqual(['a', 'b', 'd']);
  },
);

const keep = (): never => {
  throw new Error('nothing is kept before the model is read');
};

test.each([
  ['sgd', {}],
  ['momentum', { momentum: 0 }],
  ['nesterov', { momentum: 0, rate: 1 }],
])('%s at rate 1 without momentum is the mean, to the bit', async (type, options) => {
  const values = (seed: number): Values => ({ a: Float64Array.from({ length: 33 }, (_, i) => Math.sin(i * i + seed)) });
  const previous = dict({ ...values(0), b: new Float64Array(100), c: new Float64Array(1), d: new Float64Array(7) });
  const results = ['x', 'y'].map((site, i) => ({ site, samples: 1 + i, model: dict(values(i + 1)), isUpdate: true, base: previous }));
  const input = { results, previous, state: {}, codecs: referenceCodecs, integers: 'refuse', round: 1, rounds: 1, keep } as const;
  const next = await made(type, options)(input);
  expect(await readTogether(next)).toEqual(await readTogether(await mean(input)));
});

test('a moment of another shape is refused by name', async () => {
  const previous = dict({ a: new Float64Array(33) });
  const state = {
    velocity: memoryStateDict([{ name: 'a', dtype: 'F32', shape: [3], data: new Float32Array(3) }], { chunkElements: CHUNK }),
  };
  const results = [{ site: 's', samples: 1, model: dict({ a: new Float64Array(33) }), isUpdate: true, base: previous }];
  const input = { results, previous, state, codecs: referenceCodecs, integers: 'refuse', round: 2, rounds: 2, keep } as const;
  expect(() => made('nesterov', {})(input)).toThrow('velocity of tensor a is F32 [3], and the tensor is [33]');
});

test('the rates of rounds', () => {
  const rates = (options: Parameters<typeof rateOf>[0]): number[] => [1, 2, 3, 4, 5, 6].map((round) => rateOf(options, round, 6));
  expect(rates({ rate: 2 })).toEqual([2, 2, 2, 2, 2, 2]);
  expect(rates({ rate: 2, warmupRounds: 2 })).toEqual([1, 2, 2, 2, 2, 2]);
  expect(rates({ rate: 2, warmupRounds: 2, schedule: 'linear' })).toEqual([1, 2, 2, 1.5, 1, 0.5]);
  const cosine = rates({ rate: 2, warmupRounds: 3, schedule: 'cosine' });
  for (const [i, expected] of [2 / 3, 4 / 3, 2, 2, 1.5, 0.5].entries()) expect(cosine[i]).toBeCloseTo(expected, 12);
  expect(rates({ rate: 2, warmupRounds: 12, schedule: 'cosine' })).toEqual([1, 2, 3, 4, 5, 6].map((round) => round / 6));
});
