// Streaming DiLoCo in one process: it equals plain rounds where nothing is split, does what the paper
// says where the model is, and gives the same bits whatever the timing.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { FedStreamError } from '../../src/core/errors.js';
import { randomStream } from '../../src/core/random.js';
import type { JobInput } from '../../src/job/job.js';
import { pause } from '../../src/testing/checks.js';
import { type FederationOptions, initialValues, ScriptedFederation, SITES } from '../../src/testing/scripted-federation.js';
import { steppingTrainer } from '../../src/testing/stepping-trainer.js';
import { fedAvgRow } from '../../src/workflow/fed-avg.js';
import { streamingRow } from '../../src/workflow/streaming.js';

const STEPS = 6;
const stepping = (site: string) => steppingTrainer({ site: SITES.indexOf(site as 'a'), steps: STEPS });

interface Setting extends FederationOptions {
  readonly parts?: number;
  readonly overlap?: number;
  readonly alpha?: number;
  readonly rounds?: number;
  readonly trainer?: typeof stepping;
}

function federation(job: JobInput, { parts, overlap, alpha, rounds = 3, trainer = stepping, ...more }: Setting = {}): ScriptedFederation {
  const options = { ...(overlap !== undefined && { overlap }), ...(alpha !== undefined && { alpha }), ...(parts && { parts }) };
  return new ScriptedFederation({ row: parts ? streamingRow : fedAvgRow, options, job, trainer, rounds, endMs: 60_000 }, more);
}

async function bitsOf(of: ScriptedFederation): Promise<string> {
  const content = await of.content();
  return createHash('sha256')
    .update(Buffer.concat(content.get('model') as Uint8Array[]))
    .digest('hex');
}

test.each<[string, JobInput]>([
  ['fp32', { aggregator: { type: 'momentum', momentum: 0.9, rate: 0.7 } }],
  ['lean', { aggregator: { type: 'momentum', momentum: 0.9, rate: 0.7 } }],
])('one part without overlap and mixing gives the bits of plain rounds: %s, %j', async (quantize, job) => {
  const plain = federation({ ...job, quantize });
  await plain.live();
  const streaming = federation({ ...job, quantize }, { parts: 1, overlap: 0, alpha: 0 });
  await streaming.live();
  expect(streaming.faults).toEqual([]);
  expect(await bitsOf(streaming)).toBe(await bitsOf(plain));
});

test('timing changes no bit', async () => {
  const run = async (seed: number): Promise<string> => {
    const random = randomStream(seed, 'timing');
    const before = async (): Promise<void> => {
      if (random.integer(3) === 0) await pause(random.integer(12));
    };
    const trainer = (site: string) => steppingTrainer({ site: SITES.indexOf(site as 'a'), steps: STEPS, ...(seed > 0 && { before }) });
    const one = federation({ quantize: 'u4' }, { parts: 3, overlap: 2, alpha: 0.5, rounds: 2, trainer });
    await one.live();
    expect(one.faults).toEqual([]);
    return bitsOf(one);
  };
  const quiet = await run(0);
  expect(await run(1)).toBe(quiet);
});

/** The algorithm of the paper on plain arrays, for one tensor a part: local steps, outer steps and merges in one loop. */
function byHand(
  start: Record<string, Float32Array>,
  setting: { overlap: number; alpha: number; rounds: number; momentum: number; rate: number },
) {
  const { overlap, alpha, rounds, momentum, rate } = setting;
  const names = Object.keys(start);
  const segment = STEPS / names.length;
  const copy = (values: Record<string, Float32Array>) =>
    Object.fromEntries(names.map((name) => [name, Float64Array.from(values[name] ?? [])]));
  const global = copy(start);
  const velocity = Object.fromEntries(names.map((name) => [name, new Float64Array(global[name]?.length ?? 0)]));
  const sites = SITES.map(() => ({
    own: copy(start),
    moments: copy(Object.fromEntries(names.map((name) => [name, new Float32Array(global[name]?.length ?? 0)]))),
    given: copy(start),
  }));
  let due: { step: number; name: string } | undefined;
  for (let step = 1; step <= rounds * STEPS; step++) {
    if (due && step === due.step) merge(due.name);
    for (const [site, { own, moments }] of sites.entries())
      for (const name of names)
        (own[name] as Float64Array).forEach((value, i, all) => {
          const moment = moments[name] as Float64Array;
          moment[i] = 0.9 * (moment[i] as number) + 0.3 * (value - 0.1 * Math.sin(i * (site + 1))) + 0.01 * Math.sin(i + step);
          all[i] = value - 0.05 * (moment[i] as number);
        });
    if (step % segment !== 0) continue;
    if (due && step + 1 === due.step) merge(due.name);
    const name = names[(step / segment - 1) % names.length] as string;
    const next = global[name] as Float64Array;
    const weights = sites.map((_, site) => (site + 1) / 6);
    next.forEach((value, i) => {
      const mean = sites.reduce(
        (sum, { own, given }, site) => sum + (weights[site] as number) * ((own[name]?.[i] ?? 0) - (given[name]?.[i] ?? 0)),
        0,
      );
      const speed = velocity[name] as Float64Array;
      speed[i] = momentum * (speed[i] as number) + mean;
      next[i] = value + rate * (speed[i] as number);
    });
    due = { step: step + 1 + overlap, name };
  }
  return global;

  function merge(name: string): void {
    due = undefined;
    for (const { own, given } of sites)
      (global[name] as Float64Array).forEach((value, i) => {
        (given[name] as Float64Array)[i] = value;
        (own[name] as Float64Array)[i] = alpha * (own[name]?.[i] ?? 0) + (1 - alpha) * value;
      });
  }
}

test.each([2, 3])('it is the algorithm of the paper, with an overlap of %d steps', async (overlap) => {
  const setting = { overlap, alpha: 0.5, rounds: 3, momentum: 0.9, rate: 0.7 };
  const streaming = federation({ quantize: 'fp32', aggregator: { type: 'momentum', momentum: 0.9, rate: 0.7 } }, { ...setting, parts: 2 });
  await streaming.live();
  const content = await streaming.content();
  const [w, norm] = content.get('model') as Uint8Array[];
  // The matrix is larger than the vector, so it is the first part.
  const expected = byHand(await initialValues(), setting);
  for (const [name, bytes] of [
    ['w', w],
    ['norm', norm],
  ] as const) {
    const found = new Float32Array((bytes as Uint8Array).slice().buffer);
    const furthest = found.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[name]?.[i] ?? 0))), 0);
    expect(furthest).toBeLessThan(1e-6);
  }
});

test('a site that has lost its folder begins anew, and the run goes on', async () => {
  const lost = federation({ quantize: 'u4' }, { parts: 2, overlap: 1, siteCuts: { b: [60] }, rounds: 3, loses: ['b'] });
  const result = await lost.live();
  expect(result?.lastRound).toBe(3);
});

test.each<[what: string, setting: Setting, job: JobInput, code: string, message: RegExp]>([
  [
    'a trainer that does not know parts',
    { parts: 2, overlap: 1, trainer: (site) => ({ ...stepping(site), knows: undefined }) as never },
    {},
    'quorum',
    /the built-in trainer does not know parts, which the job's workflow needs/,
  ],
  [
    'more parts than the model has',
    { parts: 4, overlap: 1 },
    {},
    'bad-job',
    /4 parts are too many for this model: nothing is left for part 4/,
  ],
  [
    'an overlap longer than a segment',
    { parts: 2, overlap: 4 },
    { train: { localSteps: 6 } },
    'bad-job',
    /overlap is 4 steps, and the shortest of 2 segments in a round of 6 steps has 3/,
  ],
  ['more parts than steps', { parts: 3, overlap: 0 }, { train: { localSteps: 2 } }, 'bad-job', /a round of 2 steps cannot have 3 parts/],
  [
    'messages that are not kept on disk',
    { parts: 2, overlap: 1 },
    { streaming: 'regular' },
    'bad-job',
    /needs the disk to survive a crash/,
  ],
  ['rounds that a clock ends', { parts: 2, overlap: 1 }, { train: { localSeconds: 5 } }, 'bad-job', /leave train.localSeconds out/],
  ['sites that are drawn', { parts: 2, overlap: 1 }, { sample: { sites: 2 } }, 'bad-job', /leave sample out/],
  [
    'tensors that stay at a site',
    { parts: 2, overlap: 1 },
    { filters: { 'result-out': [{ type: 'exclude', patterns: ['norm'] }] } },
    'quorum',
    /none can stay at a site/,
  ],
  ['an early stop without figures', { parts: 2, overlap: 1 }, { earlyStop: { patience: 1 } }, 'bad-job', /only where the server evaluates/],
])('%s is refused by name', async (_, setting, job, code, message) => {
  const error = (await federation(job, setting)
    .live()
    .catch((caught: Error) => caught)) as FedStreamError;
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
});
