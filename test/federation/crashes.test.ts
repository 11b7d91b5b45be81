// The crash rule, for each workflow: a run that is cut off at any instant and resumed ends with the
// bits of an undisturbed run, and asks no site twice.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { randomStream } from '../../src/core/random.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { breadth } from '../breadth.js';
import { adapter } from './adapters.js';
import { bitsOf, federate, type ScriptedSite, type Values } from './scripted.js';

const ROUNDS = 4;

const JOBS: Record<string, JobInput> = {
  fedAvg: {},
  fedNova: { workflow: 'fedNova' },
  fedProx: { workflow: 'fedProx', sample: { sites: 2 }, quorum: 1 },
  ditto: { workflow: 'ditto' },
  qFedAvg: { workflow: { type: 'qFedAvg', q: 2 }, weights: 'equal' },
  momentum: { aggregator: { type: 'momentum', momentum: 0.9 } },
  adam: { aggregator: { type: 'adam', rate: 0.02, schedule: 'cosine', warmupRounds: 1 } },
  cyclic: { workflow: { type: 'cyclic', order: 'random' } },
  scaffold: { workflow: 'scaffold', extras: { control: { quantize: 'bf16' } } },
  loraExact: { lora: 'exact', trainer: { name: 'lora' } },
  loraFfa: { lora: 'ffa', trainer: { name: 'lora' } },
  loraRanks: { lora: { type: 'svd', ranks: { a: 2, b: 3, c: 4 } }, trainer: { name: 'lora' } },
  loraSvd: { lora: 'svd', trainer: { name: 'lora' } },
};

/** A site that learns deterministically, and notes each task that it gets. */
function site(index: number, asked: string[], frozen: boolean): ScriptedSite {
  return {
    samples: index + 1,
    steps: 1 + index,
    knows: ['mu', 'personal', 'evaluation', 'control', 'stack'],
    evaluate: () => ({ loss: 1 + index, samples: 5 }),
    learn: async (given, round, task) => {
      asked.push(`${index}-${round}`);
      await new Promise((resolve) => setTimeout(resolve, index));
      const values: Values = Object.fromEntries(
        Object.entries(given).map(([name, data]) => [
          name,
          frozen && name.includes('lora_A') ? data : data.map((value, i) => value + 0.01 * Math.sin(i * index + round) - 0.1 * value),
        ]),
      );
      const { control } = task?.extras ?? {};
      if (!control) return values;
      const change = Object.entries(values).map(([name, data]) => ({
        name,
        dtype: 'F32' as const,
        shape: name === 'w' ? [64, 48] : [1500],
        data,
      }));
      return { values, extras: { control: memoryStateDict(change) } };
    },
  };
}

function sites(asked: string[], frozen: boolean): Record<string, ScriptedSite> {
  return Object.fromEntries(['a', 'b', 'c'].map((name, index) => [name, site(index, asked, frozen)]));
}

/** Adapters are averaged by one aggregator: where somebody waits, one way of each kind is tried. */
const TRIED = Object.keys(JOBS).filter((name) => breadth(true, name !== 'loraFfa' && name !== 'loraSvd'));
const codingsOf = (name: string): readonly string[] => (name.startsWith('lora') ? breadth(['fp32', 'u4'], ['u4']) : ['fp32', 'u4']);

test.each(TRIED.flatMap((workflow) => codingsOf(workflow).map((quantize) => [workflow, quantize] as const)))(
  '%s, %s',
  async (workflow, quantize) => {
    const job = { ...JOBS[workflow], quantize, rounds: ROUNDS, seed: 3 };
    const start = job.lora ? adapter(4, 40, 30) : {};
    const quietAsked: string[] = [];
    const quiet = await federate(job, sites(quietAsked, job.lora === 'ffa'), start);
    const random = randomStream(7, workflow, quantize);
    const run = memoryFolder('run');
    const folders: Record<string, Folder> = {};
    const asked: string[] = [];
    let cuts = 0;
    for (;;) {
      const stop = new AbortController();
      // Each cut is later, so that the run ends; cuts count the server's events, so that they hit
      // every step of a round.
      let left = 1 + random.integer(12 + 2 * cuts);
      const onEvent = (): void => {
        if (--left === 0) stop.abort(new FedStreamError('aborted', 'cut off'));
      };
      try {
        const { master } = await federate(job, sites(asked, job.lora === 'ffa'), { ...start, run, folders, stop, onEvent });
        expect(bitsOf(await master(ROUNDS))).toEqual(bitsOf(await quiet.master(ROUNDS)));
        break;
      } catch (error) {
        if ((error as FedStreamError).code !== 'aborted') throw error;
        cuts++;
      }
    }
    expect(cuts).toBeGreaterThan(2);
    // A site that was cut off before its answer was safe trains again; others are not asked again.
    expect(asked.length).toBeLessThanOrEqual(quietAsked.length + 3 * cuts);
    expect(new Set(asked)).toEqual(new Set(quietAsked));
    expect(await run.list('rounds')).toEqual([]);
  },
);
