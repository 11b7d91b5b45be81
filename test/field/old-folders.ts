// Jobs in work folders that other jobs have used: federations in one process, each compared with the
// same job in fresh folders, and with the average computed by hand in float64.
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import { runsIn } from '../../src/site/run-place.js';
import { bitsOf, federate, type ScriptedSite, someValues, type Values } from '../federation/scripted.js';
import type { FieldTable } from './situation.js';

interface Input {
  readonly job: JobInput;
  /** The earlier job's; by default that of `job`. */
  readonly before?: JobInput;
  /** The earlier job was stopped in its third round; otherwise it ran to its end. */
  readonly stopped?: true;
  /** It goes on when the other job is done. */
  readonly goesOn?: true;
  /** The largest error of a weight, in parts of the largest change: what the coding leaves. */
  readonly within: number;
}

const ROUNDS = 4;
const SAMPLES = { a: 1, b: 3 };

/** What a site adds to weight i in a round, in float64. */
const added = (site: 'a' | 'b', round: number, i: number): number => 0.01 * Math.sin(i * (site === 'a' ? 0.37 : 0.91) + round);

function sitesOf(stop?: AbortController): Record<string, ScriptedSite> {
  const site = (name: 'a' | 'b'): ScriptedSite => ({
    samples: SAMPLES[name],
    learn: (given, round) => {
      if (stop && round === 3 && name === 'b') stop.abort(new FedStreamError('aborted', 'stopped'));
      return changed(given, (i) => added(name, round, i));
    },
  });
  return { a: site('a'), b: site('b') };
}

function changed(values: Values, by: (i: number) => number): Values {
  return Object.fromEntries(Object.entries(values).map(([name, data]) => [name, data.map((value, i) => value + by(i))]));
}

/** The largest distance from start plus all averages, in parts of the largest change. */
function offBy(found: Values, start: Values): number {
  let [worst, most] = [0, 0];
  for (const [name, data] of Object.entries(start))
    for (const [i, value] of data.entries()) {
      let change = 0;
      for (let round = 1; round <= ROUNDS; round++) change += (added('a', round, i) + 3 * added('b', round, i)) / 4;
      worst = Math.max(worst, Math.abs((found[name]?.[i] as number) - (value + change)));
      most = Math.max(most, Math.abs(change));
    }
  return worst / most;
}

async function run({ job: input, before = input, stopped, goesOn, within }: Input) {
  const folders: Record<string, Folder> = {};
  const [older, newer] = [someValues(1, 3), someValues(2)];
  const job = { rounds: ROUNDS, normBound: 'off', ...input } as const;
  const earlier = { rounds: ROUNDS, normBound: 'off', ...before } as const;
  const olderRun = memoryFolder('run');
  const stop = stopped && new AbortController();
  const first = federate(earlier, sitesOf(stop), { run: olderRun, folders, start: older, ...(stop && { stop }) });
  if (stopped) await first.catch(() => {});
  else await first;
  const again = await (await federate(job, sitesOf(), { folders, start: newer })).master(ROUNDS);
  const fresh = await (await federate(job, sitesOf(), { start: newer })).master(ROUNDS);
  const found = {
    likeFresh: JSON.stringify(bitsOf(again)) === JSON.stringify(bitsOf(fresh)),
    likeByHand: offBy(again, newer) <= within,
    runs: (await runsIn(folders.a as Folder)).length,
  };
  if (!goesOn) return found;
  const on = await (await federate(earlier, sitesOf(), { run: olderRun, folders, start: older })).master(ROUNDS);
  const undisturbed = await (await federate(earlier, sitesOf(), { start: older })).master(ROUNDS);
  return { ...found, goesOnAsIfAlone: JSON.stringify(bitsOf(on)) === JSON.stringify(bitsOf(undisturbed)) };
}

const RIGHT = { likeFresh: true, likeByHand: true, runs: 2 };
const finished = (name: string, job: JobInput, within: number) => ({
  name: `a new job, ${name}, in the work folders of one that has ended`,
  from: 'NVFlare',
  input: { job, within },
  gives: RIGHT,
  advice: 'Each run has a folder of its own below the work folder, so nothing of the other is read.',
});

export const OLD_FOLDERS: FieldTable<Input> = {
  title: 'Work folders that another job has used',
  intro:
    'What a site keeps from round to round (the held model, what coding left over, results on their way, the optimizer) belongs to one run and is found again by that run alone.',
  run,
  rows: [
    finished('uncoded', { quantize: 'fp32' }, 1e-4),
    finished('in nf4', { quantize: 'nf4' }, 0.2),
    finished('in u4', { quantize: 'u4' }, 0.2),
    finished('lean, with much left over by coding', { quantize: 'lean' }, 1),
    finished('streamed in containers', { quantize: 'u4', streaming: 'container' }, 0.2),
    finished('in memory alone', { quantize: 'u4', streaming: 'regular' }, 0.2),
    finished('with a filter on updates', { quantize: 'u4', filters: { 'result-out': [{ type: 'clip', norm: 1e6 }] } }, 0.2),
    {
      name: 'a job in nf4 in the folders of one in u4 that was stopped in the middle of a round',
      from: 'NVFlare',
      input: { job: { quantize: 'nf4' }, before: { quantize: 'u4' }, stopped: true, within: 0.2 },
      gives: RIGHT,
      advice: 'The stopped run keeps what it had, and the new one does not see it.',
    },
    {
      name: 'a run that was stopped, and goes on after another job has used the same folders',
      from: 'NVFlare',
      input: { job: { quantize: 'u4' }, stopped: true, goesOn: true, within: 0.2 },
      gives: { ...RIGHT, goesOnAsIfAlone: true },
      advice: 'It goes on with the same bits as if it had been alone.',
    },
  ],
};
