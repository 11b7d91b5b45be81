// The event with which a run begins, of a server and of a relay.
import { codingLabel } from '../../filter/coding.js';
import { type Job, siteNames } from '../../job/job.js';

/** The event `run-started` of a job, without the parameters of its model; `name` is for people. */
export function runStarted(name: string, job: Job) {
  const { quantize, streaming, rounds, seed, selection } = job;
  const startedAt = new Date().toISOString();
  return {
    type: 'run-started',
    name,
    codec: codingLabel(quantize),
    streaming,
    sites: siteNames(job),
    rounds,
    seed,
    startedAt,
    selection,
  } as const;
}
