// A federation inside one process: the memory driver, folders in memory, and scripted trainers.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import { type JobInput, siteNames } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import type { EventBody } from '../../src/record/events.js';
import { openGlobalModel, writeGlobalModel } from '../../src/server/global-models.js';
import { readJournal } from '../../src/server/journal.js';
import { runClient } from '../../src/site/client.js';
import { siteLink } from '../../src/site/site-link.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import type { Metrics, Trainer, TrainTask } from '../../src/trainer/trainer.js';

const SHARED = { errors: true, steps: true };

const URL = 'memory://server';

/** Makes new weights from those that a site received. */
type Learn = (weights: Float32Array, round: number) => Float32Array | Promise<Float32Array>;

function toModel(values: Float32Array): StateDict {
  return memoryStateDict([
    { name: 'w', dtype: 'F32', shape: [values.length - 1], data: values.subarray(0, -1) },
    { name: 'norm', dtype: 'F32', shape: [1], data: values.slice(-1) },
  ]);
}

async function valuesOf(model: StateDict): Promise<Float32Array> {
  const values: number[] = [];
  for await (const { bytes } of model.chunks()) values.push(...new Float32Array(bytes.slice().buffer));
  return Float32Array.from(values);
}

function trainerOf(learn: Learn, samples: number, evaluate?: (values: Float32Array) => Metrics): Trainer {
  return {
    async train(task: TrainTask, model: StateDict) {
      const learnt = await learn(await valuesOf(model), task.round);
      task.onStep({ step: task.round, loss: 1 / task.round, learningRate: 1, tokens: 1 });
      return { model: toModel(learnt), samples, steps: 1, trainLoss: 1 / task.round };
    },
    evaluate: async (model) => evaluate?.(await valuesOf(model)),
    close: async () => {},
  };
}

interface Site {
  readonly learn: Learn;
  readonly samples?: number;
  readonly evaluate?: (values: Float32Array) => Metrics;
}

interface Setting {
  readonly run?: Folder;
  /** The sites' own folders, for a run that is resumed. */
  readonly folders?: Record<string, Folder>;
  readonly stop?: AbortController;
}

async function federate(input: JobInput, sites: Record<string, Site>, setting: Setting = {}) {
  const { run = memoryFolder('run'), folders = {}, stop = new AbortController() } = setting;
  const job = parseJob({ quantize: 'fp32', rounds: 1, sites: Object.keys(sites), ...input }, 'test');
  if ((await run.list('global')).length === 0)
    await writeGlobalModel(run, 0, toModel(Float32Array.from({ length: 3001 }, (_, i) => Math.sin(i))));
  const driver = memory();
  const events: EventBody[] = [];
  const common = { codecs: referenceCodecs, log: silentLogger, driver, url: URL, signal: stop.signal };
  const clients: Promise<string>[] = [];
  const onListening = (): void => {
    for (const [site, { learn, samples = 1, evaluate }] of Object.entries(sites)) {
      folders[site] ??= memoryFolder(site);
      const folder = folders[site];
      const link = siteLink({ ...common, site, folder, share: SHARED, retryMs: 500 });
      const client = {
        ...common,
        site,
        link,
        folder,
        // One process is both sides here, and the tests read why a site failed.
        policy: { filters: [], share: SHARED },
        memory: () => ({ rssBytes: 1, peakRssBytes: 2 }),
        makeTrainer: async () => trainerOf(learn, samples, evaluate),
      };
      const ended = runClient(client).finally(() => link.close());
      ended.catch(() => {});
      clients.push(ended);
    }
  };
  const result = await runServer({
    ...common,
    listeners: [common],
    job,
    run,
    files: {},
    emit: (event) => void events.push(event),
    onListening,
  });
  const reasons = await Promise.allSettled(clients);
  return { result, events, reasons, values: (round: number) => openGlobalModel(run, round).then(valuesOf), run };
}

const add =
  (amount: number): Learn =>
  (weights) =>
    weights.map((value) => value + amount);
const after =
  (waitMs: number, learn: Learn): Learn =>
  async (weights, round) => {
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    return learn(weights, round);
  };

test('the average is weighted by samples', async () => {
  const { values } = await federate(
    {},
    { a: { learn: (w) => w.map(() => 1), samples: 3 }, b: { learn: (w) => w.map(() => 5), samples: 1 } },
  );
  expect([...new Set(await values(1))]).toEqual([2]);
});

test.each(['fp32', 'nf4', 'blockwise8'])(
  '%s: the model has the same bits whoever comes first, in every streaming mode',
  async (quantize) => {
    const learns: Record<string, Learn> = { a: add(0.1), b: (w) => w.map((value, i) => value * Math.cos(i)), c: add(-0.3) };
    const models: number[][] = [];
    for (const streaming of ['file', 'container', 'regular'] as const) {
      for (const waits of [
        { a: 0, b: 20, c: 40 },
        { a: 40, b: 20, c: 0 },
      ]) {
        const sites = Object.fromEntries(
          Object.entries(learns).map(([site, learn]) => [site, { learn: after(waits[site as 'a'], learn), samples: site.charCodeAt(0) }]),
        );
        const { values } = await federate({ quantize, streaming, rounds: 2 }, sites);
        models.push([...new Uint32Array((await values(2)).buffer)]);
      }
    }
    for (const model of models) expect(model).toEqual(models[0]);
  },
);

test('an update with a NaN is refused with the names of site and tensor, and the round completes on quorum', async () => {
  const poisoned: Learn = (w) => w.map((value, i) => (i === 1234 ? Number.NaN : value));
  const { values, events, result } = await federate({ quorum: 1 }, { good: { learn: add(1) }, bad: { learn: poisoned } });
  expect(result.lastRound).toBe(1);
  expect((await values(1))[1234]).toBeCloseTo(Math.sin(1234) + 1, 5);
  const warning = events.find((event) => event.type === 'warning');
  expect(warning).toMatchObject({ message: expect.stringMatching(/without bad: .*tensor w has NaN at element 1234/) });
});

test('a NaN never leaves a site that quantizes', async () => {
  const { events } = await federate(
    { quorum: 1, quantize: 'nf4' },
    { good: { learn: add(1) }, bad: { learn: (w) => w.map(() => Number.POSITIVE_INFINITY) } },
  );
  expect(events.find((event) => event.type === 'warning')).toMatchObject({
    message: expect.stringMatching(/tensor w has Infinity at element 0/),
  });
  expect(events.filter((event) => event.type === 'transfer' && event.direction === 'up')).toHaveLength(1);
});

test('without a quorum the run stops with the reason, and resumes from its last round', async () => {
  const run = memoryFolder('run');
  const fails: Learn = (w, round) => {
    if (round === 2) throw new Error('out of memory');
    return w.map((value) => value + 1);
  };
  const job = { rounds: 3, quorum: 2 };
  await expect(federate(job, { a: { learn: add(1) }, b: { learn: fails } }, { run })).rejects.toThrow(/needs 2 results.*b out of memory/);
  expect((await readJournal(run)).map(({ round }) => round)).toEqual([0, 1]);
  const { values, result } = await federate(job, { a: { learn: add(1) }, b: { learn: add(1) } }, { run });
  expect(result.lastRound).toBe(3);
  expect((await values(3))[0]).toBe(3);
});

test.each(['fp32', 'nf4'])(
  '%s: a server that is stopped in the middle of a round resumes it, and asks no site that has answered',
  async (quantize) => {
    const work: string[] = [];
    const learns = (name: string, learn: Learn): Learn => {
      return (weights, round) => {
        work.push(`${name}${round}`);
        return learn(weights, round);
      };
    };
    const sites = { a: { learn: learns('a', add(0.1)) }, b: { learn: learns('b', (w) => w.map((value, i) => value * Math.cos(i))) } };
    const whole = await federate({ quantize, rounds: 3 }, { ...sites, c: { learn: learns('c', add(-0.3)) } });
    work.length = 0;
    const run = memoryFolder('run');
    const stop = new AbortController();
    const folders: Record<string, Folder> = {};
    const waits: Learn = async (weights, round) => {
      if (round === 2) {
        while ((await run.list('rounds/round-0002')).filter((name) => name.endsWith('.result.json')).length < 2)
          await new Promise((resolve) => setTimeout(resolve, 5));
        stop.abort(new FedStreamError('aborted', 'killed'));
      }
      return add(-0.3)(weights, round);
    };
    const options = { run, folders, stop };
    await expect(federate({ quantize, rounds: 3 }, { ...sites, c: { learn: waits } }, options)).rejects.toMatchObject({ code: 'aborted' });
    expect(work).toEqual(expect.arrayContaining(['a1', 'b1', 'a2', 'b2']));
    work.length = 0;
    const { values } = await federate({ quantize, rounds: 3 }, { ...sites, c: { learn: learns('c', add(-0.3)) } }, { run, folders });
    expect([...work].sort()).toEqual(['a3', 'b3', 'c2', 'c3']);
    expect(new Uint32Array((await values(3)).buffer)).toEqual(new Uint32Array((await whole.values(3)).buffer));
    expect(await run.list('rounds')).toEqual([]);
  },
);

test('the sites evaluate if the server has no data; the best round is kept and the run stops early', async () => {
  const evaluate = (values: Float32Array): Metrics => ({ loss: Math.abs((values[0] as number) - 2), exactMatch: 0.5, samples: 4 });
  const { result, run, events } = await federate(
    { rounds: 9, earlyStop: { patience: 2, minDelta: 0 } },
    { a: { learn: add(1), evaluate }, b: { learn: add(1), evaluate } },
  );
  expect(result).toMatchObject({ bestRound: 2, reason: 'no better loss for 2 rounds' });
  expect(result.lastRound).toBeLessThan(9);
  expect(await run.list('global')).toContain('round-0002.safetensors');
  expect(events.filter((event) => event.type === 'evaluation').map((event) => event.loss)).toContain(0);
});

test('a result of the wrong shape, or of too many tensors, is refused by name', async () => {
  const { events } = await federate({ quorum: 1 }, { good: { learn: add(1) }, odd: { learn: (w) => w.slice(1) } });
  expect(events.find((event) => event.type === 'warning')).toMatchObject({
    message: expect.stringMatching(/the result of odd: w is F32 \[2999\], the model has F32 \[3000\]/),
  });
});

test('a site that is not in the job is refused, with the reason', async () => {
  const job = parseJob({ sites: ['a'], quantize: 'fp32' }, 'test');
  expect(siteNames(job)).toEqual(['a']);
  const { reasons } = await federate({ sites: ['a'] }, { a: { learn: after(200, add(1)) }, uninvited: { learn: add(1) } });
  expect(reasons[0]).toMatchObject({ status: 'fulfilled' });
  expect(reasons[1]).toMatchObject({ status: 'rejected', reason: expect.objectContaining({ code: 'refused' }) });
});

test('tensors that a filter leaves out keep the server’s values', async () => {
  const { values } = await federate(
    { filters: { 'result-out': [{ type: 'exclude', patterns: ['norm'] }] } },
    { a: { learn: add(1) }, b: { learn: add(1) } },
  );
  const learnt = await values(1);
  expect(learnt[0]).toBe(1);
  expect(learnt[3000]).toBe(Math.fround(Math.sin(3000)));
});
