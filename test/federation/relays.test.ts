// Relays: a tree gives the model of a star, the same bits every time, and says upward what a site says.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import type { Folder } from '../../src/core/storage.js';
import type { EventBody } from '../../src/record/events.js';
import type { TrainTask } from '../../src/trainer/trainer.js';
import { bitsOf, type ScriptedSite, someValues, type Values } from './scripted.js';
import { type Branch, type TreeSite, tree } from './tree.js';

/** A site that moves every value its own way, and weighs as many samples as its number times three. */
function site(number: number): ScriptedSite {
  const learn: ScriptedSite['learn'] = (given, round) =>
    Object.fromEntries(
      Object.entries(given).map(([name, values]) => [
        name,
        values.map((value, i) => value * 0.98 + 0.003 * Math.sin(number * 7.1 + i * 0.37 + round)),
      ]),
    );
  return { learn, samples: 3 * number, evaluate: (given) => ({ loss: number + Math.abs(given.w?.[0] ?? 0), samples: number }) };
}

const names = Array.from({ length: 9 }, (_, index) => `site-${index + 1}`);
const star: Branch = Object.fromEntries(names.map((name, index) => [name, site(index + 1)]));
const threes: Branch = Object.fromEntries(
  [0, 1, 2].map((relay) => [
    `relay-${relay + 1}`,
    Object.fromEntries([0, 3, 6].map((step) => [names[relay + step] as string, site(relay + step + 1)])),
  ]),
);

function furthest(a: Values, b: Values): number {
  let most = 0;
  for (const [name, values] of Object.entries(a))
    values.forEach((value, i) => {
      most = Math.max(most, Math.abs(value - (b[name]?.[i] as number)));
    });
  return most;
}

test.each([
  ['F32', 'fp32', 3],
  // From the second round on, values that differ in their last bits are given to sites as other bfloat16.
  ['BF16', 'fp32', 1],
  ['BF16', 'u4', 2],
] as const)('1–3–9 of %s in %s gives the model of the star, and the same bits twice', async (dtype, quantize, rounds) => {
  const job = { rounds, quantize } as const;
  const [first, again, flat] = await Promise.all([tree(job, threes, { dtype }), tree(job, threes, { dtype }), tree(job, star, { dtype })]);
  expect(bitsOf(again.model)).toEqual(bitsOf(first.model));
  // Values are up to 0.1; a coded mean differs by what the relays' own coding has not yet sent.
  expect(furthest(first.model, flat.model)).toBeLessThan(quantize === 'fp32' ? 1e-6 : 1e-3);
  const [treeFigures, starFigures] = [first, flat].map(({ events }) =>
    (events.server ?? []).flatMap((event) =>
      event.type === 'evaluation' && event.held !== true ? [{ round: event.round, samples: event.samples, loss: event.loss }] : [],
    ),
  );
  expect(starFigures?.map(({ round }) => round)).toEqual(Array.from({ length: rounds + 1 }, (_, round) => round));
  expect(treeFigures?.map(({ loss: _, ...figures }) => figures)).toEqual(starFigures?.map(({ loss: _, ...figures }) => figures));
  for (const [index, { loss }] of (starFigures ?? []).entries())
    expect(treeFigures?.[index]?.loss).toBeCloseTo(loss, quantize === 'fp32' ? 6 : 2);
  expect(first.reasons.map((ended) => ended.status === 'fulfilled' && ended.value)).toEqual(Array(12).fill('all rounds are done'));
});

const warnings = (events: readonly EventBody[] = []): string[] =>
  events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));

test('relays of relays are relays: 1–2–4–4 gives the model of the star', async () => {
  const deep: Branch = {
    east: { 'east-1': { 'site-1': site(1) }, 'east-2': { 'site-2': site(2) } },
    west: { 'west-1': { 'site-3': site(3) }, 'site-4': site(4) },
  };
  const job = { rounds: 2, quantize: 'fp32' } as const;
  const { model, reasons } = await tree(job, deep);
  const flat = await tree(job, Object.fromEntries(Object.entries(star).slice(0, 4)));
  expect(furthest(model, flat.model)).toBeLessThan(1e-6);
  expect(reasons.every(({ status }) => status === 'fulfilled')).toBe(true);
});

test.each(['adam', 'momentum'])('the aggregator %s gives the model of the star', async (aggregator) => {
  const job = { rounds: 2, quantize: 'fp32', aggregator } as const;
  const two: Branch = { 'relay-1': { a: site(1), b: site(2) }, 'relay-2': { c: site(3) } };
  const [below, flat] = await Promise.all([tree(job, two), tree(job, { a: site(1), b: site(2), c: site(3) })]);
  // An adaptive step is of the size of its rate, however small the change that it divides.
  expect(furthest(below.model, flat.model)).toBeLessThan(aggregator === 'adam' ? 1e-4 : 1e-6);
});

test('in a cycle the model goes from relay to relay', async () => {
  const { result, events } = await tree(
    { rounds: 2, quantize: 'u4', workflow: 'cyclic' },
    { 'relay-1': { a: site(1) }, 'relay-2': { b: site(2) } },
  );
  expect(result.lastRound).toBe(2);
  expect(events.server?.flatMap((event) => (event.type === 'site-result' ? [event.site] : []))).toEqual(['relay-1', 'relay-2']);
});

test('a tree that is stopped at any instant goes on with the same bits', async () => {
  const job = { rounds: 2, quantize: 'lean', stragglerMs: 20_000 } as const;
  const two: Branch = { 'relay-1': { a: site(1), b: site(2) }, 'relay-2': { c: site(3), d: site(4) } };
  const undisturbed = await tree(job, two);
  for (const instant of [4, 13]) {
    const folders: Record<string, Folder> = {};
    const stop = new AbortController();
    let seen = 0;
    const onEvent = (whose: string): void => {
      if (whose === 'relay-1' && ++seen === instant) stop.abort(new FedStreamError('aborted', 'stopped in the middle'));
    };
    await expect(tree(job, two, { folders, stop, onEvent })).rejects.toMatchObject({ code: 'aborted' });
    const { model } = await tree(job, two, { folders });
    expect(bitsOf(model)).toEqual(bitsOf(undisturbed.model));
  }
});

test('the server sees the relays, their samples and their steps; a relay sees its own sites', async () => {
  const { events } = await tree({ rounds: 1, quantize: 'fp32' }, threes);
  const results = (whose: string) =>
    (events[whose] ?? []).flatMap((event) => (event.type === 'site-result' ? [`${event.site} ${event.samples}`] : [])).sort();
  expect(results('server')).toEqual(['relay-1 36', 'relay-2 45', 'relay-3 54']);
  expect(results('relay-2')).toEqual(['site-2 6', 'site-5 15', 'site-8 24']);
  expect(events.server?.flatMap((event) => (event.type === 'step' ? [event.site] : [])).sort()).toEqual(['relay-1', 'relay-2', 'relay-3']);
  expect(JSON.stringify(events.server)).not.toMatch(/site-\d/);
});

test('a relay goes on without a site that fails, and the server without a relay that has too few', async () => {
  const failing: ScriptedSite = { learn: () => Promise.reject(new FedStreamError('trainer', 'no more memory')) };
  const lost = await tree(
    { rounds: 1, quantize: 'fp32', quorum: 1 },
    {
      'relay-1': { a: site(1), b: site(2), c: failing },
      'relay-2': { d: site(4), e: failing },
    },
  );
  expect(warnings(lost.events['relay-1'])[0]).toMatch(/^round 1 goes on without c: .*no more memory/);
  expect(warnings(lost.events.server)[0]).toMatch(/^round 1 goes on without relay-2: .*needs 2 results and can get at most 1 of 2/);
  const alone = await tree({ rounds: 1, quantize: 'fp32' }, { a: site(1), b: site(2) });
  expect(furthest(lost.model, alone.model)).toBeLessThan(1e-6);
});

test('what a workflow needs of trainers, and its figures, reach the sites of relays', async () => {
  const seen: unknown[] = [];
  const given = (values: Values, _round: number, task?: TrainTask) => {
    seen.push(task?.figures);
    return values;
  };
  const job = { rounds: 1, workflow: { type: 'fedProx', mu: 0.25 } } as const;
  await expect(tree(job, { 'relay-1': { a: { learn: given } } })).rejects.toThrow(/does not know mu, which the job's workflow needs/);
  expect(seen).toEqual([]);
  await tree(job, { 'relay-1': { a: { learn: given, knows: ['mu'] } } });
  expect(seen).toEqual([{ mu: 0.25 }]);
});

test('state dicts beside the model are refused by name', async () => {
  await expect(tree({ rounds: 1, workflow: 'scaffold' }, { 'relay-1': { a: site(1) } })).rejects.toThrow(
    /relay-1 .*a relay combines models alone, and the job's workflow sends "control" beside the model/,
  );
});

test('sites that contradict each other are refused before anything trains, in one relay or in two', async () => {
  let trained = 0;
  const telling = (value: string): ScriptedSite => ({
    fingerprints: { tokenizer: value },
    learn: (given) => {
      trained++;
      return given;
    },
  });
  const job = { rounds: 1, quantize: 'fp32' } as const;
  await expect(
    tree(job, { 'relay-1': { a: telling('one'), b: telling('one') }, 'relay-2': { c: telling('two'), d: telling('two') } }),
  ).rejects.toThrow(/tokenizer is "one" at relay-1 and "two" at relay-2|tokenizer is "two" at relay-2 and "one" at relay-1/);
  await expect(tree(job, { 'relay-1': { a: telling('one'), b: telling('two') } })).rejects.toThrow(/tokenizer is .* at [ab]/);
  expect(trained).toBe(0);
  const alike = await tree(job, { 'relay-1': { a: telling('one') }, 'relay-2': { c: telling('one') } });
  expect(alike.result.lastRound).toBe(1);
  expect(trained).toBe(2);
});

test('a job without a model begins with one that a site of a relay offers', async () => {
  const start = someValues(7);
  const same: TreeSite = { learn: (given) => given, offers: start };
  const job = { rounds: 1, quantize: 'fp32', trainer: { name: 'own' }, model: 'offered' } as const;
  const { model } = await tree(job, { 'relay-1': { a: same, b: same } }, { bare: true });
  expect(bitsOf(model)).toEqual(bitsOf(start));
});

test('a start that is coded reaches the sites as the server coded it', async () => {
  const given: Record<string, string>[] = [];
  const watching: ScriptedSite = {
    learn: (values) => {
      given.push(bitsOf(values));
      return values;
    },
  };
  const job = { rounds: 2, quantize: 'u4', model: { path: 'somewhere' }, data: { generated: 10 } } as const;
  const evaluate = () => ({ loss: 1, samples: 1 });
  // Nobody has the model, so it travels in bfloat16; relay and star must give the same.
  await tree(job, { 'relay-1': { a: watching } }, { evaluate });
  const below = given.splice(0);
  await tree(job, { a: watching }, { evaluate });
  expect(below[0]).toEqual(given[0]);
  expect(below).toHaveLength(2);
});
