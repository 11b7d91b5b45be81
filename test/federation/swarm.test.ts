// Swarms: the sites take turns as the aggregator, the coordinator sees no part of a model, and the end
// is that of a federation with a server.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import { parseJob, workflowOf } from '../../src/kit/kit.js';
import { bitsOf, federate, heldIn, type Values } from './scripted.js';
import { changed, type SwarmSite, sites, swarm } from './swarm-sites.js';

const JOBS: Record<string, JobInput> = {
  fp32: { quantize: 'fp32', rounds: 2 },
  momentum: { quantize: 'lean', aggregator: { type: 'momentum', momentum: 0.9 }, rounds: 3 },
};

test.each(Object.keys(JOBS))('%s: the end is that of fedAvg, to the bit, at every site', async (name) => {
  const job: JobInput & { rounds: number } = { rounds: 0, ...JOBS[name], seed: 3 };
  const star = await federate(job, sites());
  const { models, warnings, result, folders } = await swarm(job, sites());
  expect(warnings).toEqual([]);
  expect(result).toMatchObject({ lastRound: job.rounds });
  const expected = name === 'fp32' ? await star.master(job.rounds) : await heldIn(star.folders.a as Folder);
  for (const site of ['a', 'b', 'c']) {
    expect(bitsOf(models[site])).toEqual(bitsOf(expected));
    expect(bitsOf(await heldIn(folders[site] as Folder))).toEqual(bitsOf(expected));
  }
});

test('the coordinator neither sends nor receives a chunk, and keeps none', async () => {
  const start: Values = { w: new Float32Array(64 * 48).fill(0.1), big: new Float32Array(260_000).fill(0.2) };
  const { central, between, run, events } = await swarm({ rounds: 2, quantize: 'u4' }, sites(), { start });
  // The chunk that is its tensor has 4 bits a value on its way: more than all that the coordinator sent and received
  // in two rounds, with tasks, answers, figures and heartbeats.
  const chunkBytes = 260_000 / 2;
  expect(central.bytes).toBeLessThan(chunkBytes / 2);
  expect(between.bytes).toBeGreaterThan(6 * chunkBytes);
  const files = await filesIn(run);
  expect(files.filter(({ name }) => name.endsWith('.safetensors')).map(({ name }) => name)).toEqual(['state/swarm-0002.safetensors']);
  expect(Math.max(...files.map(({ bytes }) => bytes))).toBeLessThan(2_000);
  expect(events.filter(({ type }) => type === 'site-result')).toHaveLength(6);
  expect(events.filter(({ type }) => type === 'evaluation')).toMatchObject([
    { round: 0, samples: 63 },
    { round: 1, samples: 63 },
    { round: 2, samples: 63 },
  ]);
});

test('a site that tells another digest is named, and the others go on', async () => {
  const lying: Partial<SwarmSite> = {
    tampered: (link) =>
      changed(link, {
        sendResult: (task, figures, more) => {
          if (task.kind === 'swarm-join' || task.kind === 'swarm-serve') figures.texts = { held: '0'.repeat(32) };
          return link.sendResult(task, figures, more);
        },
      }),
  };
  const { models, warnings } = await swarm({ rounds: 2, quorum: 2 }, sites({ b: lying }));
  expect(warnings).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/b is refused in round 1: it holds the model with the digest 0{32}, and the others have/),
    ]),
  );
  expect(bitsOf(models.a)).toEqual(bitsOf(models.c));
});

test('a site does not connect where its owner does not allow it', async () => {
  const elsewhere: Partial<SwarmSite> = { address: 'memory://evil.example.org' };
  const job: JobInput = { rounds: 1, workflow: { type: 'swarm', order: 'roundRobin' }, quorum: 2 };
  const { warnings, result } = await swarm({ ...job, stragglerMs: 2000 }, sites({ a: elsewhere }));
  expect(warnings).toEqual(expect.arrayContaining([expect.stringMatching(/b: .*swarm\.allow.*evil\.example\.org/)]));
  expect(warnings).toEqual(expect.arrayContaining([expect.stringMatching(/round 1 begins again: a, its aggregator/)]));
  expect(result.lastRound).toBe(1);
});

test('an aggregator that asks for another job is refused by the others', async () => {
  const greedy: Partial<SwarmSite> = {
    tampered: (link) =>
      changed(link, {
        // Its own part would refuse it as well: it believes that the coordinator asked for it.
        join: async () => {
          const { job, ...joined } = await link.join();
          return { ...joined, job: { ...job, train: { ...job.train, localSteps: 90_000 } } };
        },
        next: async () => {
          const next = await link.next();
          if ('stop' in next || next.task.kind !== 'swarm-serve') return next;
          const { train, ...job } = JSON.parse(next.task.texts?.job as string);
          const texts = { ...next.task.texts, job: JSON.stringify({ ...job, train: { ...train, localSteps: 90_000 } }) };
          return { task: { ...next.task, texts } };
        },
      }),
  };
  const job: JobInput = { rounds: 1, workflow: { type: 'swarm', order: 'roundRobin' }, quorum: 2 };
  const { warnings } = await swarm(job, sites({ a: greedy }));
  expect(warnings).toEqual(expect.arrayContaining([expect.stringMatching(/without b: .*a has another job than the coordinator/)]));
  expect(warnings).toEqual(expect.arrayContaining([expect.stringMatching(/round 1 begins again: a, its aggregator/)]));
});

test('whole weights that lose values, and filters on the way down, do not go with it', () => {
  const job = (more: JobInput) => parseJob({ workflow: 'swarm', ...more }, 'test');
  const check = (more: JobInput) => workflowOf(job(more)).checkJob?.(job(more), referenceCodecs);
  expect(() => check({ quantize: 'paper' })).toThrow(/quantize: whole weights that lose values.*swarm/);
  expect(() => check({ filters: { 'task-out': [{ type: 'exclude', patterns: ['w'] }] } })).toThrow(/filters\.task-out/);
  expect(() => check({ sample: { sites: 2 } })).toThrow(/sample: every site of a swarm/);
  expect(() => check({ quantize: 'fp32' })).not.toThrow();
});

test('without a site that listens there is no swarm', async () => {
  const silent = { listens: false };
  await expect(swarm({ rounds: 1 }, sites({ a: silent, b: silent, c: silent }))).rejects.toMatchObject({
    code: 'quorum',
    message: expect.stringMatching(/none offers an address.*--swarm-listen/),
  });
});

async function filesIn(folder: Folder, at = ''): Promise<{ name: string; bytes: number }[]> {
  const found: { name: string; bytes: number }[] = [];
  for (const name of await folder.list()) {
    const bytes = await folder.sizeBytes(name);
    if (bytes === undefined) found.push(...(await filesIn(folder.folder(name), `${at}${name}/`)));
    else found.push({ name: at + name, bytes });
  }
  return found;
}
