// Swarms that are cut off, and aggregators that are lost for good.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { randomStream } from '../../src/core/random.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import { bitsOf, type ScriptedSite } from './scripted.js';
import { type SwarmSite, sites, swarm } from './swarm-sites.js';

test('cut off at any instant, all at once, it goes on with the same bits', async () => {
  const job: JobInput = { rounds: 3, quantize: 'u4', seed: 3, aggregator: { type: 'momentum', momentum: 0.9 } };
  const quiet = await swarm(job, sites());
  const random = randomStream(5, 'swarm');
  const run = memoryFolder('run');
  const folders: Record<string, Folder> = {};
  let cuts = 0;
  for (;;) {
    const stop = new AbortController();
    let left = 1 + random.integer(8 + 6 * cuts);
    const learning = (one: ScriptedSite): ScriptedSite => ({
      ...one,
      learn: (given, round) => {
        if (--left === 0) stop.abort(new FedStreamError('aborted', 'cut off'));
        return one.learn(given, round);
      },
    });
    const onEvent = (): void => {
      if (--left === 0) stop.abort(new FedStreamError('aborted', 'cut off'));
    };
    const cut = Object.fromEntries(Object.entries(sites()).map(([name, one]) => [name, learning(one)]));
    try {
      const { models } = await swarm(job, cut, { run, folders, stop, onEvent });
      expect(bitsOf(models.a)).toEqual(bitsOf(quiet.models.a));
      break;
    } catch (error) {
      if ((error as FedStreamError).code !== 'aborted') throw error;
      cuts++;
    }
  }
  expect(cuts).toBeGreaterThan(2);
});

test('an aggregator that is lost is replaced, and the round begins again', async () => {
  const lost = new AbortController();
  const dying: Partial<SwarmSite> = {
    signal: lost.signal,
    learn: (given, round) => {
      if (round === 2) lost.abort(new FedStreamError('aborted', 'the machine is gone'));
      return given;
    },
  };
  // In turn: a, then b, which is lost, then c.
  const job: JobInput = { rounds: 3, quantize: 'u4', workflow: { type: 'swarm', order: 'roundRobin' }, quorum: 2 };
  const { models, warnings, result } = await swarm(job, sites({ b: dying }));
  expect(result.lastRound).toBe(3);
  expect(warnings).toEqual(expect.arrayContaining([expect.stringMatching(/round 2 begins again: b, its aggregator/)]));
  expect(bitsOf(models.a)).toEqual(bitsOf(models.c));
  expect(models.b).toBeUndefined();
});

test('where all that have the state are lost, the model that is held is gone on from, and a warning says so', async () => {
  const lost = new AbortController();
  const gone: Partial<SwarmSite> = { signal: lost.signal };
  // b is the aggregator of round 2, with the state that a, the one of round 1, has handed over.
  const dying: Partial<SwarmSite> = {
    ...gone,
    learn: (given, round) => {
      if (round === 2) lost.abort(new FedStreamError('aborted', 'a fire'));
      return given;
    },
  };
  const job: JobInput = {
    rounds: 3,
    quantize: 'u4',
    aggregator: { type: 'momentum', momentum: 0.9 },
    workflow: { type: 'swarm', order: 'roundRobin' },
    quorum: 1,
  };
  const { models, warnings, result } = await swarm(job, sites({ a: gone, b: dying }));
  expect(result.lastRound).toBe(3);
  expect(warnings).toEqual(
    expect.arrayContaining([expect.stringMatching(/round 2 goes on from the model that the sites hold: .*the aggregator momentum/)]),
  );
  expect(Object.keys(models)).toEqual(['c']);
});
