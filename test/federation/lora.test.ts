// LoRA adapters in a federation: what the sites are given is the mean of what they trained, as the
// job's `lora` says, over messages and rounds.
import { expect, test } from 'vitest';
import type { JobInput } from '../../src/job/job.js';
import { svd } from '../../src/tensor/low-rank/jacobi.js';
import type { TrainTask } from '../../src/trainer/trainer.js';
import { adapter, apart, effectiveOf, MODULES, meanOf, productOf } from './adapters.js';
import { federate, type Values } from './scripted.js';

const ROUNDS = 3;
const NAMES = ['a', 'b', 'c'];
const SAMPLES = [1, 2, 3];

interface Seen {
  readonly given: Values;
  readonly learnt: Values;
  /** By module: factors and stack together, before and after the training. */
  readonly before: readonly Float64Array[];
  readonly after: readonly Float64Array[];
}

/** Sites that train both factors, each in its own way, and note what they were given. */
async function run(job: JobInput, { frozen = false, rank = 4 } = {}) {
  const seen: Record<string, Seen[]> = {};
  const learner = (index: number) => ({
    samples: SAMPLES[index] as number,
    knows: ['stack'],
    learn: async (given: Values, round: number, task?: TrainTask): Promise<Values> => {
      const learnt = Object.fromEntries(
        Object.entries(given).map(([name, data]) => [
          name,
          frozen && name.includes('lora_A') ? data : data.map((value, i) => value + 0.05 * Math.sin(i * (index + 2) + 3 * round)),
        ]),
      );
      const stack = task?.extras?.stack;
      const both = (values: Values) => Promise.all(MODULES.map((module) => effectiveOf(values, module, stack)));
      const noted = seen[NAMES[index] as string] ?? [];
      seen[NAMES[index] as string] = noted;
      noted[round - 1] = { given, learnt, before: await both(given), after: await both(learnt) };
      return learnt;
    },
  });
  const sites = Object.fromEntries(NAMES.map((name, index) => [name, learner(index)]));
  const whole = { trainer: { name: 'lora' }, rounds: ROUNDS, quantize: 'fp32', ...job };
  const { events, master } = await federate(whole, sites, adapter(rank, 40, 30));
  return { seen, events, master };
}

const of = (seen: Record<string, Seen[]>, round: number): Seen[] => NAMES.map((name) => (seen[name] as Seen[])[round - 1] as Seen);

/** The least error of any matrix of a rank. */
function leastError(matrix: Float64Array, rows: number, rank: number): number {
  // The dense matrices here are in C order: the columns of the transpose.
  const { values } = svd({ rows: matrix.length / rows, count: rows, data: matrix.slice() });
  return Math.sqrt(values.slice(rank).reduce((sum, value) => sum + value * value, 0));
}

function distance(a: Float64Array, b: Float64Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - (b[i] as number)) ** 2, 0));
}

test('exact: base, stack and adapter of a round are the mean of the sites’ in the round before', async () => {
  const { seen } = await run({ lora: 'exact' });
  for (let round = 1; round < ROUNDS; round++) {
    for (const [index, module] of MODULES.entries()) {
      const trained = of(seen, round).map(({ after }) => after[index] as Float64Array);
      const wanted = meanOf(trained, SAMPLES);
      for (const { before } of of(seen, round + 1))
        expect(apart(before[index] as Float64Array, wanted), `${module} ${round}`).toBeLessThan(1e-5);
      // Means of the factors alone are another matrix: the test can fail.
      const [next] = of(seen, round + 1) as [Seen];
      expect(apart(productOf(next.given, module), wanted)).toBeGreaterThan(1e-2);
    }
  }
});

test('exact with a bound on the stack keeps its largest directions', async () => {
  const { seen } = await run({ lora: { type: 'exact', stackRank: 3 } });
  const trained = of(seen, 1).map(({ learnt }) => productOf(learnt, 'model.q'));
  const [next] = of(seen, 2) as [Seen];
  const residual = meanOf(trained, SAMPLES).map((value, i) => value - (productOf(next.given, 'model.q')[i] as number));
  expect(distance(next.before[0] as Float64Array, meanOf(trained, SAMPLES))).toBeCloseTo(leastError(residual, 40, 3), 5);
});

test('svd: sites are given the best adapter of their rank, and what it lacks with the next one', async () => {
  const { seen } = await run({ lora: 'svd' });
  let owed = new Float64Array(1200);
  for (let round = 1; round < ROUNDS; round++) {
    const trained = of(seen, round).map(({ learnt }) => productOf(learnt, 'model.q'));
    const wanted = meanOf(trained, SAMPLES).map((value, i) => value + (owed[i] as number));
    const [next] = of(seen, round + 1) as [Seen];
    const found = productOf(next.given, 'model.q');
    const least = leastError(wanted, 40, 4);
    expect(least).toBeGreaterThan(1e-3);
    expect(distance(found, wanted)).toBeCloseTo(least, 5);
    // Of three sites of rank 4 the first rounds cut off no more than what is kept: 8 terms.
    if (round > 1) break;
    owed = wanted.map((value, i) => value - (found[i] as number)) as Float64Array<ArrayBuffer>;
  }
});

test.each(['fp32', 'lean'])('ffa, %s: A stays the same bits at every site, and is sent once', async (quantize) => {
  const { seen, events } = await run({ lora: 'ffa', quantize }, { frozen: true });
  const plain = await run({ quantize }, { frozen: true });
  const { start } = adapter(4, 40, 30);
  for (const noted of Object.values(seen))
    for (const { given } of noted) expect(given['model.q.lora_A.weight']).toEqual(start['model.q.lora_A.weight']);
  const bytes = (all: typeof events, round: number) =>
    all.flatMap((event) => (event.type === 'round-finished' && event.round === round ? [event] : []))[0];
  const [ffa, factors] = [bytes(events, 3), bytes(plain.events, 3)];
  // Heads and manifests are of the order of the factors here.
  expect(ffa?.bytesUp).toBeLessThan(0.75 * (factors?.bytesUp as number));
  expect(ffa?.bytesDown).toBeLessThan(0.75 * (factors?.bytesDown as number));
});

test('ffa: a program that trains A is refused by name', async () => {
  await expect(run({ lora: 'ffa' })).rejects.toThrow(/has changed model\.q\.lora_A\.weight, which the job keeps frozen/);
});

test.each(['svd', 'factors'] as const)('%s: sites of three ranks in one run', async (type) => {
  const ranks = { a: { rank: 2, alpha: 8 }, b: { rank: 3, alpha: 8 }, c: { rank: 4, alpha: 8 } };
  const { seen } = await run({ lora: { type, ranks } });
  const own = NAMES.map((name) => ranks[name as 'a'].rank);
  const scaled = (values: Values, site: number) => productOf(values, 'model.q').map((value) => (value * 8) / (own[site] as number));
  for (let round = 1; round < ROUNDS; round++) {
    const trained = of(seen, round).map(({ learnt }, site) => scaled(learnt, site));
    for (const [site, { given }] of of(seen, round + 1).entries()) {
      expect(given['model.q.lora_A.weight']?.length).toBe((own[site] as number) * 30);
      if (type !== 'svd' || round > 1) continue;
      expect(distance(scaled(given, site), meanOf(trained, SAMPLES))).toBeCloseTo(
        leastError(meanOf(trained, SAMPLES), 40, own[site] as number),
        4,
      );
    }
    if (type === 'svd') continue;
    // The mean of factors that end in zeros; the third site has all of it.
    const mean = (Object.entries(of(seen, round)[0]?.learnt ?? {}) as [string, Float32Array][]).map(([name]) => name);
    const [, , { given }] = of(seen, round + 1) as [Seen, Seen, Seen];
    const name = mean.find((one) => one.includes('q.lora_A')) as string;
    const value = of(seen, round).reduce(
      (sum, { learnt }, site) => sum + ((SAMPLES[site] as number) / 6) * (learnt[name]?.[31] as number),
      0,
    );
    expect(given[name]?.[31]).toBeCloseTo(value, 5);
  }
});

test('exact: a trainer that does not know the stack is refused before training', async () => {
  let trained = 0;
  const learn = (given: Values): Values => {
    trained++;
    return given;
  };
  const sites = Object.fromEntries(NAMES.map((name) => [name, { learn }]));
  const job = { lora: 'exact', trainer: { name: 'lora' } } as const;
  await expect(federate(job, sites, adapter(4, 40, 30))).rejects.toThrow(/does not know stack, which the job's workflow needs/);
  expect(trained).toBe(0);
});

test.each([
  ['svd without an adapter', { lora: 'svd' } as const, /no tensor of the model is a lora_A or lora_B/],
  [
    'ranks that the adapter has not',
    { lora: { type: 'svd', ranks: { a: 1, b: 2, c: 8 } } } as const,
    /the largest rank is 8, and model\.q\.lora_A\.weight of the model has 4/,
  ],
])('%s is refused before training', async (title, job, message) => {
  let trained = 0;
  const learn = (given: Values): Values => {
    trained++;
    return given;
  };
  const start = title.includes('without') ? {} : adapter(4, 40, 30);
  const sites = Object.fromEntries(NAMES.map((name) => [name, { learn }]));
  await expect(federate({ ...job, trainer: { name: 'lora' } }, sites, start)).rejects.toThrow(message);
  expect(trained).toBe(0);
});

test('sites of different ranks tell ranks as the job has them, and scale alike', async () => {
  const adapterOf = (r: number, alpha: number) => ({
    'adapter.r': String(r),
    'adapter.lora_alpha': String(alpha),
    'adapter.use_rslora': 'false',
  });
  const job = (ranks: JobInput['lora']): JobInput => ({ lora: ranks, trainer: { name: 'lora' }, quantize: 'fp32' });
  const told = (...alphas: readonly number[]) =>
    Object.fromEntries(
      NAMES.map((name, i) => [name, { learn: (given: Values) => given, fingerprints: adapterOf(i + 2, alphas[i] as number) }]),
    );
  const ranks = { a: 2, b: 3, c: 4 };
  const run = (lora: JobInput['lora'], ...alphas: readonly number[]) => federate(job(lora), told(...alphas), adapter(4, 40, 30));
  await run({ type: 'svd', ranks }, 4, 6, 8);
  await expect(run({ type: 'svd', ranks }, 8, 8, 8)).rejects.toThrow(/adapter\.scaling is "4" at a and "2\.66666667" at b/);
  const given = { a: { rank: 2, alpha: 8 }, b: { rank: 3, alpha: 8 }, c: { rank: 4, alpha: 8 } };
  await run({ type: 'svd', ranks: given }, 8, 8, 8);
  await expect(run({ type: 'svd', ranks: { ...ranks, a: 1 } }, 4, 6, 8)).rejects.toThrow(/adapter\.r is "1" at the job and "2" at a/);
  await expect(run('factors', 4, 6, 8)).rejects.toThrow(/adapter\.lora_alpha is/);
});
