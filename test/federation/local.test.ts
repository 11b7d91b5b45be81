// What a site does not send lives on there: tensors that a filter leaves out of its results, evaluated
// as such; and personal models, whose figures are told and nothing else.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import type { EventBody } from '../../src/record/events.js';
import { bitsOf, federate, type ScriptedSite, type Values } from './scripted.js';

const KEEPS: JobInput = { filters: { 'result-out': [{ type: 'exclude', patterns: ['norm'] }] }, rounds: 3, quantize: 'fp32' };

/** A site whose head grows by `step` in each round; it notes the head that it is given. */
function growing(step: number, heads: number[], more: Partial<ScriptedSite> = {}): ScriptedSite {
  return {
    learn: (given) => {
      heads.push(given.norm?.[7] as number);
      return Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value) => value + step)])) as Values;
    },
    evaluate: (given) => ({ loss: Math.abs(given.norm?.[7] as number), samples: 1 }),
    ...more,
  };
}

const start = { w: new Float32Array(64 * 48).fill(0.5), norm: new Float32Array(1500).fill(0.25) };

test.each(['F32', 'BF16'] as const)('excluded tensors live on at each site, and are evaluated there (%s)', async (dtype) => {
  const heads: Record<string, number[]> = { a: [], b: [] };
  const sites = { a: growing(1, heads.a as number[]), b: growing(3, heads.b as number[]) };
  const { master, events } = await federate(KEEPS, sites, { start, dtype });
  expect(heads).toEqual({ a: [0.25, 1.25, 2.25], b: [0.25, 3.25, 6.25] });
  const model = await master(3);
  expect(bitsOf({ norm: model.norm as Float32Array })).toEqual(bitsOf({ norm: start.norm }));
  expect(model.w?.[7]).toBe(0.5 + 3 * 2);
  // The figures of a round are of the models that the sites then have.
  const losses = events.flatMap((event) => (event.type === 'evaluation' ? [[event.round, event.loss]] : []));
  expect(losses).toEqual([
    [0, 0.25],
    [1, (1.25 + 3.25) / 2],
    [2, (2.25 + 6.25) / 2],
    [3, (3.25 + 9.25) / 2],
  ]);
});

test('where the server evaluates, the figures of the sites’ own models stand beside its own', async () => {
  const heads: number[] = [];
  const { events } = await federate(
    KEEPS,
    { a: growing(1, heads), b: growing(1, heads) },
    { start, evaluate: () => ({ loss: 9, samples: 5 }) },
  );
  expect(events.filter(({ type }) => type === 'personal-evaluation')).toEqual([
    { type: 'personal-evaluation', round: 1, loss: 1.25, samples: 2, exactMatch: undefined },
    { type: 'personal-evaluation', round: 2, loss: 2.25, samples: 2, exactMatch: undefined },
  ]);
  expect(events.flatMap((event) => (event.type === 'evaluation' ? [event.loss] : []))).toEqual([9, 9, 9, 9]);
});

test('what the owner of a site excludes lives on there too', async () => {
  const heads: number[] = [];
  const policy = { filters: [{ type: 'exclude', patterns: ['norm'] }], share: { errors: true, steps: true } };
  const job: JobInput = { ...KEEPS, quantize: 'u4' };
  await federate(job, { a: growing(1, heads, { policy }) }, { start });
  expect(heads).toEqual([0.25, 1.25, 2.25]);
});

test('cut off at any instant, a site goes on with the tensors that it had', async () => {
  const quiet: number[] = [];
  await federate(KEEPS, { a: growing(1, quiet), b: growing(1, []) }, { start });
  const run = memoryFolder('run');
  const folders: Record<string, Folder> = {};
  const heads: number[] = [];
  for (let cut = 1; ; cut += 2) {
    const stop = new AbortController();
    let left = cut;
    const onEvent = (): void => {
      if (--left === 0) stop.abort(new FedStreamError('aborted', 'cut off'));
    };
    try {
      await federate(KEEPS, { a: growing(1, heads), b: growing(1, []) }, { start, run, folders, stop, onEvent });
      break;
    } catch (error) {
      if ((error as FedStreamError).code !== 'aborted') throw error;
    }
  }
  // A round that was cut short is trained again from the same head; none is skipped.
  expect([...new Set(heads)]).toEqual(quiet);
});

test('Ditto: the personal models’ figures are told, weighted as others, and nothing else of them', async () => {
  const lambdas: (number | undefined)[] = [];
  const own = (loss: number): ScriptedSite => ({
    knows: ['personal'],
    personal: { loss, samples: 10 },
    learn: (given, _round, task) => {
      lambdas.push(task?.figures?.lambda);
      return given;
    },
  });
  const { events } = await federate({ workflow: { type: 'ditto', lambda: 0.25 }, rounds: 2 }, { a: own(1), b: own(2) }, { start });
  expect(lambdas).toEqual([0.25, 0.25, 0.25, 0.25]);
  expect(events.filter(({ type }) => type === 'personal-evaluation')).toEqual(
    [1, 2].map((round) => ({ type: 'personal-evaluation', round, loss: 1.5, samples: 20, exactMatch: undefined })),
  );
  const results = events.filter((event): event is Extract<EventBody, { type: 'site-result' }> => event.type === 'site-result');
  expect(results.map(({ site, personal }) => [site, personal?.loss]).sort()).toEqual([
    ['a', 1],
    ['a', 1],
    ['b', 2],
    ['b', 2],
  ]);
});

test('q-FedAvg weights by the loss of the given model, and refuses sites that evaluate nothing', async () => {
  const moved = (step: number, loss: number): ScriptedSite => ({
    knows: ['evaluation'],
    evaluate: () => ({ loss, samples: 4 }),
    learn: (given) => Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value) => value + step)])) as Values,
  });
  const sites = { a: moved(1, 1), b: moved(2, 2), c: moved(4, 2) };
  const { master } = await federate({ workflow: { type: 'qFedAvg', q: 2 }, weights: 'equal', quantize: 'fp32' }, sites, { start });
  expect((await master(1)).w?.[7]).toBeCloseTo(0.5 + (1 * 1 + 4 * 2 + 4 * 4) / 9, 6);
  const bent = await federate({ workflow: { type: 'qFedAvg', q: 1, lipschitz: 1e-4 }, weights: 'equal', quantize: 'fp32' }, sites, {
    start,
  });
  const squares = [1, 2, 4].map((step) => step ** 2 * (64 * 48 + 1500));
  const step = (1 + 2 + 2) / (1 + 2 + 2 + 1e-4 * squares.reduce((sum, one) => sum + one, 0));
  expect((await bent.master(1)).w?.[7]).toBeCloseTo(0.5 + (step * (1 + 4 + 8)) / 5, 5);
  const blind = { ...moved(1, 1), knows: ['mu'] };
  await expect(federate({ workflow: 'qFedAvg' }, { a: blind, b: blind }, { start })).rejects.toMatchObject({
    code: 'quorum',
    message: expect.stringContaining('does not know evaluation'),
  });
  const silent = { ...moved(1, 1), evaluate: () => undefined as never };
  await expect(federate({ workflow: 'qFedAvg' }, { a: silent }, { start })).rejects.toMatchObject({
    code: 'quorum',
    message: 'no site has evaluated the model that it was given in round 1',
  });
});

test('rounds that a clock ends are weighted by steps, under any workflow', async () => {
  const stepping = (step: number, steps: number): ScriptedSite => ({
    steps,
    learn: (given) => Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value) => value + step)])) as Values,
  });
  const sites = { a: stepping(1, 2), b: stepping(2, 4), c: stepping(4, 9) };
  const job: JobInput = { train: { localSeconds: 5 }, weights: 'equal', quantize: 'fp32' };
  const { master } = await federate(job, sites, { start });
  expect((await master(1)).w?.[7]).toBeCloseTo(0.5 + (5 * (1 / 2 + 2 / 4 + 4 / 9)) / 3, 6);
});
