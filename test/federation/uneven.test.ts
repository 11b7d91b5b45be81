// Sites that differ in speed, data and number: FedProx, FedNova, and rounds for which sites are drawn.
import { expect, test } from 'vitest';
import { randomStream } from '../../src/core/random.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import { sampleOf } from '../../src/workflow/sample.js';
import { bitsOf, federate, heldIn, type ScriptedSite, type Values } from './scripted.js';

const start = { w: new Float32Array(64 * 48).fill(0.5), norm: new Float32Array(1500).fill(0.25) };
const RATE = 0.05;

const mapped = (values: Values, change: (value: number) => number): Values =>
  Object.fromEntries(Object.entries(values).map(([name, data]) => [name, data.map(change)]));

/** Gradient descent on `½ (w − target)²`, with the proximal term where the task has `mu`. */
function descending(target: number, steps: number, more: Partial<ScriptedSite> = {}): ScriptedSite {
  return {
    steps,
    knows: ['mu'],
    learn: (given, _round, task) => {
      const { mu = 0 } = task?.figures ?? {};
      return mapped(given, (anchor) => {
        let value = anchor;
        for (let step = 0; step < steps; step++) value -= RATE * (value - target + mu * (value - anchor));
        return value;
      });
    },
    ...more,
  };
}

const first = (values: Values): number => values.w?.[7] as number;

test('FedProx: sites train with the proximal term, whose fixed point is known', async () => {
  const mu = 3;
  const { master } = await federate(
    { workflow: { type: 'fedProx', mu }, quantize: 'fp32' },
    { a: descending(1, 400), b: descending(-2, 400), c: descending(4, 400) },
    { start },
  );
  // Each site ends at (target + mu × received) / (1 + mu).
  expect(first(await master(1))).toBeCloseTo((1 - 2 + 4) / 3 / (1 + mu) + (0.5 * mu) / (1 + mu), 6);
});

test('FedProx: a trainer that does not know mu is refused by name, before it trains', async () => {
  let trained = 0;
  const count: ScriptedSite['learn'] = (given) => {
    trained++;
    return given;
  };
  const blind = descending(1, 5, { knows: ['control'], learn: count });
  const dumb = descending(1, 5, { knows: undefined, learn: count });
  const { events } = await federate({ workflow: 'fedProx', quorum: 1 }, { a: descending(1, 5), b: blind, c: dumb }, { start });
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
  expect(warnings).toContainEqual(expect.stringMatching(/without b: the built-in trainer does not know mu, .*; it knows control/));
  expect(warnings).toContainEqual(expect.stringMatching(/without c: the built-in trainer does not know mu/));
  expect(trained).toBe(0);
  await expect(federate({ workflow: 'fedProx' }, { a: blind }, { start })).rejects.toMatchObject({
    code: 'quorum',
    message: expect.stringContaining('does not know mu'),
  });
});

const uneven = { a: descending(1, 2), b: descending(-2, 5), c: descending(3, 8) };

test.each(['fp32', 'u4', 'paper:bf16'])('FedNova in %s: the mean of normalized updates', async (quantize) => {
  const { master } = await federate({ workflow: 'fedNova', weights: 'equal', quantize }, uneven, { start });
  const changes = [
    [1, 2],
    [-2, 5],
    [3, 8],
  ].map(([target, steps]) => ((target as number) - 0.5) * (1 - (1 - RATE) ** (steps as number)) * (5 / (steps as number)));
  const expected = 0.5 + changes.reduce((sum, change) => sum + change, 0) / 3;
  expect(first(await master(1))).toBeCloseTo(expected, quantize === 'fp32' ? 6 : 1);
});

test('FedNova equals FedAvg, to the bit, where all take as many steps; in bfloat16 too', async () => {
  const even = { a: descending(1, 4), b: descending(-2, 4), c: descending(4, 4, { samples: 3 }) };
  for (const dtype of ['F32', 'BF16'] as const) {
    const [nova, average] = await Promise.all(
      ['fedNova', 'fedAvg'].map((workflow) => federate({ workflow, rounds: 2, quantize: 'fp32' }, even, { start, dtype })),
    );
    expect(bitsOf(await nova?.master(2))).toEqual(bitsOf(await average?.master(2)));
  }
});

test('FedNova keeps what a 16-bit checkpoint cannot hold, and goes with other aggregators', async () => {
  const still = { a: descending(0.5, 2), b: descending(0.5, 5), c: descending(0.5, 8) };
  const fine = { w: new Float32Array(64 * 48).fill(0.5), norm: new Float32Array(1500).fill(0.25) };
  const { master } = await federate({ workflow: 'fedNova', quantize: 'fp32', rounds: 2 }, still, { start: fine, dtype: 'BF16' });
  expect(first(await master(2))).toBeCloseTo(0.5, 6);
  const momentum = { type: 'momentum', momentum: 0.5, rate: 0.5 };
  const plain = await federate({ workflow: 'fedNova', weights: 'equal', quantize: 'fp32' }, uneven, { start });
  const moved = await federate({ workflow: 'fedNova', weights: 'equal', quantize: 'fp32', aggregator: momentum }, uneven, { start });
  expect(first(await moved.master(1)) - 0.5).toBeCloseTo((first(await plain.master(1)) - 0.5) / 2, 6);
});

test('FedNova leaves out a result without steps, by name, and ends where none has any', async () => {
  const { events, master } = await federate(
    { workflow: 'fedNova', quantize: 'fp32', weights: 'equal' },
    { ...uneven, b: descending(9, 0) },
    { start },
  );
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'warning', message: expect.stringMatching(/the result of b .*it does not say how many steps/) }),
  );
  const mean = [
    [1, 2],
    [3, 8],
  ].map(([target, steps]) => (((target as number) - 0.5) * (1 - (1 - RATE) ** (steps as number)) * 5) / (steps as number));
  expect(first(await master(1))).toBeCloseTo(0.5 + ((mean[0] as number) + (mean[1] as number)) / 2, 6);
  await expect(federate({ workflow: 'fedNova' }, { a: descending(9, 0) }, { start })).rejects.toMatchObject({ code: 'quorum' });
});

/** Sites that note the rounds in which they train. */
function noting(names: readonly string[]): { asked: Record<number, string[]>; sites: Record<string, ScriptedSite> } {
  const asked: Record<number, string[]> = {};
  const sites = Object.fromEntries(
    names.map((name, index) => {
      const site = descending(index, 2);
      const learn: ScriptedSite['learn'] = (given, round, task) => {
        asked[round] = [...(asked[round] ?? []), name].sort();
        return site.learn(given, round, task);
      };
      return [name, { ...site, learn, evaluate: () => ({ loss: index + 1, samples: 1 }) }];
    }),
  );
  return { asked, sites };
}
const SIX = ['a', 'b', 'c', 'd', 'e', 'f'];

test.each(['fedAvg', 'fedProx', 'fedNova'])('%s asks the sites that are drawn, and all hold the same in the end', async (workflow) => {
  const job: JobInput = { workflow, rounds: 4, sample: { sites: 2 }, quantize: 'u4', seed: 5 };
  const { asked, sites } = noting(SIX);
  const { folders, run, events } = await federate(job, sites, { start });
  expect(Object.values(asked).map((drawn) => drawn.length)).toEqual([2, 2, 2, 2]);
  expect(new Set(Object.values(asked).map(String)).size).toBeGreaterThan(1);
  // The last evaluation is of all sites, so all of them have what some have missed.
  const held = await Promise.all([run, ...SIX.map((site) => folders[site] as Folder)].map(async (folder) => bitsOf(await heldIn(folder))));
  expect(new Set(held.map((bits) => JSON.stringify(bits))).size).toBe(1);
  expect(events.filter(({ type }) => type === 'warning')).toEqual([]);
});

test('a result counts as often as its site was drawn', async () => {
  const { sites } = noting(['a', 'b', 'c']);
  const job: JobInput = { sample: { sites: 4, by: 'weights' }, weights: { a: 1, b: 1, c: 1 }, quantize: 'fp32', seed: 2 };
  const { master } = await federate(job, sites, { start });
  const { draws } = sampleOf(parseJob({ ...job, sites: ['a', 'b', 'c'] }, 'test'), ['a', 'b', 'c'], randomStream(2, 'sample', 1));
  const target = ((draws?.get('b') ?? 0) + 2 * (draws?.get('c') ?? 0)) / 4;
  expect(first(await master(1))).toBeCloseTo(0.5 + (target - 0.5) * (1 - (1 - RATE) ** 2), 6);
});

test('a workflow that asks sites of its own choice is refused before anybody trains', async () => {
  const { asked, sites } = noting(['a', 'b', 'c']);
  await expect(federate({ workflow: 'cyclic', sample: { sites: 2 } }, sites, { start })).rejects.toMatchObject({
    code: 'bad-job',
    message: 'sample: the workflow "cyclic" asks sites of its own choice to train; leave sample out, or use another workflow',
  });
  expect(asked).toEqual({});
});

test.each<[JobInput, RegExp]>([
  [{ sample: { sites: 4 } }, /sample\.sites: 4 sites are drawn of 3/],
  [{ sample: { sites: 2 }, quorum: 3 }, /quorum: 3 results are asked of 2 sites that are drawn/],
  [{ sample: { sites: 2, by: 'weights' } }, /sample\.by: .*"weights": \{"site-1": 1000/],
  [{ sample: { sites: 0 } }, /sample\.sites/],
  [{ workflow: { type: 'fedProx', mu: 0 } }, /workflow\.mu/],
  [{ workflow: { type: 'fedNova', momentum: 1 } }, /workflow\.momentum/],
])('a job with %j is refused', (input, message) => {
  expect(() => parseJob(input, 'test')).toThrow(message);
});
