// Models on the data of each site: federated evaluation without training, and the matrix of a run's
// models and sites at its end.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { randomStream } from '../../src/core/random.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import type { EventOf } from '../../src/record/events.js';
import { openGlobalModel } from '../../src/server/global-models.js';
import { readJournal } from '../../src/server/journal.js';
import { Life, mortalFolder } from '../../src/testing/mortal-folder.js';
import { learnt, sitesOf } from './in-order.js';
import { bitsOf, federate, type ScriptedSite, someValues, type Values, valuesOf } from './scripted.js';

type Told = EventOf<'site-evaluation'>;

/** A figure that tells one model from another to the last bit. */
function lossOf(values: Values, site: number): number {
  let loss = 10;
  for (const data of Object.values(values)) for (const [i, value] of data.entries()) loss += value * Math.sin(i * (site + 1)) * 0.01;
  return loss;
}

/** Sites that evaluate; those of `blind` have no data for it, and those of `broken` fail at it. */
function evaluating({ blind = [] as string[], broken = [] as string[] } = {}): Record<string, ScriptedSite> {
  return Object.fromEntries(
    Object.entries(sitesOf([0, 0, 0])).map(([name, site], index) => {
      if (blind.includes(name)) return [name, site];
      const evaluate = (given: Values) => {
        if (broken.includes(name)) throw new FedStreamError('trainer', 'out of memory');
        return { loss: lossOf(given, index), samples: 10 + index };
      };
      return [name, { ...site, evaluate }];
    }),
  );
}

function told(events: readonly { readonly type: string }[]): Told[] {
  return events.filter((event): event is Told => event.type === 'site-evaluation');
}

test('federated evaluation: every site evaluates the model as it is, and nothing is trained', async () => {
  const asked: string[] = [];
  const sites = evaluating({ blind: ['c'] });
  const learn = (given: Values): Values => {
    asked.push('trained');
    return given;
  };
  const watched = Object.fromEntries(Object.entries(sites).map(([name, site]) => [name, { ...site, learn }]));
  const { events, run, result } = await federate({ workflow: 'federatedEvaluation', quantize: 'u4', quorum: 3 }, watched);
  expect(result).toMatchObject({ lastRound: 0, reason: 'the model is evaluated' });
  expect(asked).toEqual([]);
  const start = someValues(1);
  expect(told(events)).toEqual([
    { type: 'site-evaluation', site: 'a', round: 0, loss: lossOf(start, 0), samples: 10 },
    { type: 'site-evaluation', site: 'b', round: 0, loss: lossOf(start, 1), samples: 11 },
    { type: 'site-evaluation', site: 'c', round: 0, reason: 'it has no held-out data, or keeps its figures to itself' },
  ]);
  const mean = (10 * lossOf(start, 0) + 11 * lossOf(start, 1)) / 21;
  expect((await readJournal(run))[0]?.evaluation).toEqual({ loss: expect.closeTo(mean, 9), samples: 21 });
});

test('federated evaluation takes the job’s quorum, and beside a server with data of its own', async () => {
  await expect(federate({ workflow: 'federatedEvaluation', quorum: 3 }, evaluating({ broken: ['b'] }))).rejects.toMatchObject({
    code: 'quorum',
  });
  const evaluate = () => ({ loss: 7, samples: 1 });
  const { run, events } = await federate({ workflow: 'federatedEvaluation', quorum: 2 }, evaluating({ broken: ['b'] }), { evaluate });
  expect((await readJournal(run))[0]?.evaluation).toEqual({ loss: 7, samples: 1 });
  expect(told(events).map(({ site, reason }) => [site, reason?.slice(0, 13)])).toEqual([
    ['a', undefined],
    ['b', 'out of memory'],
    ['c', undefined],
  ]);
});

const CROSS: JobInput = { rounds: 3, quorum: 2, seed: 3, crossSiteEvaluation: true };

test.each(['fp32', 'u4'])('at the end every model is evaluated on the data of every site (%s)', async (quantize) => {
  const { events, run, master } = await federate({ ...CROSS, quantize }, evaluating({ blind: ['c'] }));
  const found = told(events);
  // The second round is the best one, as the sites see it, or the last is.
  const rows = [...new Set(found.map(({ round, trained }) => `${round} ${trained ?? 'global'}`))];
  expect(rows.filter((row) => !row.endsWith('global'))).toEqual(['3 a', '3 b', '3 c']);
  for (const row of rows)
    expect(found.filter(({ round, trained }) => `${round} ${trained ?? 'global'}` === row).map(({ site }) => site)).toEqual([
      'a',
      'b',
      'c',
    ]);
  expect(found.filter(({ site }) => site === 'c').every(({ loss, reason }) => loss === undefined && reason !== undefined)).toBe(true);
  // What a site trained in the last round, from the model of the round before.
  const before = await master(2).catch(() => undefined);
  if (quantize === 'fp32' && before) {
    const own = found.find(({ site, trained }) => site === 'a' && trained === 'b');
    expect(own?.loss).toBeCloseTo(lossOf(learnt(1, before, 3), 0), 5);
  }
  const history = await readJournal(run);
  expect(history.at(-1)?.bySite).toHaveLength(found.length);
  for (const { site, loss } of found.filter(({ round, trained }) => round === 3 && trained === undefined))
    if (loss !== undefined && quantize === 'fp32') expect(loss).toBeCloseTo(lossOf(await master(3), site === 'a' ? 0 : 1), 9);
});

test('a server with data evaluates, and the sites cross all the same; one that fails costs cells only', async () => {
  const evaluate = (given: Values) => ({ loss: lossOf(given, 0), samples: 5 });
  const { events, result } = await federate(CROSS, evaluating({ broken: ['b'] }), { evaluate });
  expect(result.lastRound).toBe(3);
  const b = told(events).filter(({ site }) => site === 'b');
  expect(b.length).toBeGreaterThan(3);
  expect(b.every(({ reason }) => reason?.startsWith('out of memory'))).toBe(true);
});

test('other workflows cross too: a cycle, and asynchronous rounds', async () => {
  for (const workflow of ['cyclic', { type: 'fedBuff', buffer: 2 }] as const) {
    const { events } = await federate({ ...CROSS, workflow }, evaluating());
    const trained = new Set(told(events).map((one) => one.trained));
    expect(trained.has(undefined)).toBe(true);
    expect(trained.size).toBeGreaterThan(1);
  }
});

test('cut off at any step the matrix is the same', async () => {
  const random = randomStream(5, 'cross');
  const run = memoryFolder('run');
  const own = Object.fromEntries(['a', 'b', 'c'].map((site) => [site, memoryFolder(site)]));
  const job = { ...CROSS, quantize: 'u4', rounds: 2 };
  const quiet = await federate(job, evaluating());
  let cuts = -1;
  for (let life = new Life(0); life.isOver || cuts < 0; ) {
    cuts++;
    life = new Life(40 + random.integer(80 + 60 * cuts));
    const folders: Record<string, Folder> = Object.fromEntries(
      Object.entries(own).map(([site, folder]) => [site, mortalFolder(folder, life)]),
    );
    await federate(job, evaluating(), { run: mortalFolder(run, life), folders, stop: life.stop }).catch((error) => {
      if (!life.isOver) throw error;
    });
  }
  expect(cuts).toBeGreaterThan(1);
  expect((await readJournal(run)).at(-1)?.bySite).toEqual((await readJournal(quiet.run)).at(-1)?.bySite);
  expect(bitsOf(await valuesOf(await openGlobalModel(run, 2)))).toEqual(bitsOf(await quiet.master(2)));
});

test('a finished run that is resumed evaluates nothing once more', async () => {
  const run = memoryFolder('run');
  const folders = {};
  await federate(CROSS, evaluating(), { run, folders });
  const { events } = await federate(CROSS, evaluating(), { run, folders });
  expect(told(events)).toEqual([]);
});

test('a table of too many sites is refused', async () => {
  const sites = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`s${i}`, { learn: (given: Values) => given }]));
  await expect(federate(CROSS, sites)).rejects.toMatchObject({
    code: 'bad-job',
    message: expect.stringContaining('crossSiteEvaluation: 101 sites'),
  });
});
