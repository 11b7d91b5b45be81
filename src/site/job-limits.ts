// Checks a job, and each of its tasks, against the limits of the site's owner.
import type { CodecTable } from '../codec/codec.js';
import { parseCodecName } from '../codec/codec-name.js';
import type { Task } from '../exchange/task.js';
import type { Policy } from '../filter/policy.js';
import type { Job } from '../job/job.js';
import type { ResolvedLimits } from './limits.js';
import { refusedBy } from './site-rule.js';

/** The name of the trainer that is part of this package, in `limits.trainers`. */
export const BUILT_IN = 'built-in';

/** Throws `refused`, which names the first rule that the job breaks, with the value and its limit. */
export function checkJob(job: Job, digest: string, limits: ResolvedLimits, codecs: CodecTable): void {
  const { train, rounds, trainer } = job;
  const { batchSize, accumulate, localSteps, localEpochs } = train;
  if (limits.jobs && !limits.jobs.includes(digest))
    throw refusedBy('limits.jobs', `the job of the server has the digest ${digest}, which is not listed`);
  const name = trainer?.name ?? BUILT_IN;
  if (limits.trainers && !limits.trainers.includes(name))
    throw refusedBy('limits.trainers', `the job asks for the trainer ${name}; listed are ${limits.trainers.join(', ') || 'none'}`);
  most('mostRounds', rounds, limits, 'rounds');
  if (localSteps !== undefined) {
    least('leastSteps', localSteps, limits, 'steps in a round (train.localSteps)');
    most('mostSteps', localSteps, limits, 'steps in a round (train.localSteps)');
  }
  if (localEpochs !== undefined) most('mostSteps', localEpochs, limits, 'passes over the data in a round (train.localEpochs)');
  if (batchSize !== undefined) {
    const batch = batchSize * accumulate;
    least('leastBatch', batch, limits, 'samples in a step (train.batchSize × train.accumulate)');
    if (localSteps !== undefined) least('leastSamples', localSteps * batch, limits, 'samples in a round (train.localSteps × the batch)');
  }
  if (limits.codecs) checkCodecs(job, limits.codecs, codecs);
}

/** Throws `refused` where a task steps out of the job that was checked. */
export function checkTask({ id, kind, round, rounds }: Task, job: Job): void {
  if (rounds > job.rounds)
    throw refusedBy('limits.mostRounds', `the task ${id} is for a run of ${rounds} rounds; the job that was joined has ${job.rounds}`);
  const first = kind === 'train' || kind === 'trainPart' ? 1 : 0;
  if (round < first || round > job.rounds)
    throw refusedBy(
      'limits.mostRounds',
      `the task ${id} is for round ${round}; the job that was joined has rounds ${first} to ${job.rounds}`,
    );
}

/** The samples of a round, in the words of a refusal. */
export const SAMPLES = 'different samples in a round';

/** Throws `refused` if fewer than the limit. */
export function least(
  rule: 'leastSamples' | 'leastBatch' | 'leastSteps' | 'leastEvaluationSamples',
  value: number,
  limits: ResolvedLimits,
  what: string,
): void {
  if (value >= limits[rule]) return;
  throw refusedBy(`limits.${rule}`, `the job asks for ${value} ${what}; this site needs at least ${limits[rule]} (docs/site.md)`);
}

function most(rule: 'mostSteps' | 'mostRounds', value: number, limits: ResolvedLimits, what: string): void {
  if (value <= limits[rule]) return;
  throw refusedBy(`limits.${rule}`, `the job asks for ${value} ${what}; this site allows ${limits[rule]} (docs/site.md)`);
}

/** Every codec in which the job would have something leave the site. */
function checkCodecs({ quantize, extras }: Job, allowed: readonly string[], codecs: CodecTable): void {
  const policies: [string, Policy][] = [['quantize.up', quantize.up]];
  for (const [name, { quantize: policy }] of Object.entries(extras)) policies.push([`extras.${name}.quantize`, policy]);
  for (const [where, policy] of policies) {
    const names = typeof policy === 'string' ? [policy] : [policy.default, ...Object.values(policy.names), ...Object.values(policy.dtypes)];
    const wrong = names.find((name) => name !== undefined && !allowed.includes(name) && !allowed.includes(rowOf(name, codecs)));
    if (wrong !== undefined)
      throw refusedBy('limits.codecs', `the job asks for results in ${wrong} (${where}); listed are ${allowed.join(', ') || 'none'}`);
  }
}

/** The name of a codec without its parameters; `fp32` for values as they are. */
function rowOf(name: string, codecs: CodecTable): string {
  const { codec } = parseCodecName(name, codecs);
  return codec === 'raw' ? 'fp32' : codec;
}
