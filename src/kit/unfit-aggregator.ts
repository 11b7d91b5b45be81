// Aggregators that cannot do what they promise in a job: its rounds may bring too few results, or
// something else is averaged that one site can steer.
import { type Job, quorumOf, sampleQuorum, siteNames } from '../job/job.js';
import type { Aggregator } from '../workflow/aggregate/aggregator.js';
import type { MakeWorkflow } from '../workflow/workflows.js';

/** Why the aggregator of a job cannot do what it promises, in words; undefined if it can. */
export function unfitAggregator(job: Job, { needs }: Aggregator, { leastResults, averages }: MakeWorkflow): string | undefined {
  if (!needs) return undefined;
  const steered =
    averages !== undefined
      ? `the workflow ${job.workflow.type} averages ${averages} itself`
      : job.train.localSeconds !== undefined
        ? 'train.localSeconds weights updates by the steps that sites name'
        : undefined;
  if (steered !== undefined) return `${steered}, which one site can steer, so ${job.aggregator.type} would not stand it`;
  const results = leastResults ? leastResults(job) : leastQuorum(job);
  if (results >= needs.results) return undefined;
  const sites = siteNames(job).length;
  if (leastResults) return `${needs.because}; the workflow ${job.workflow.type} may bring ${results} at a time`;
  if (sites < needs.results) return `${needs.because}; the job has ${sites} sites`;
  const draws = job.sample ? ', and "sample" must draw as many different sites' : '';
  return `${needs.because}; a round of this job may end with ${results} of ${sites}: set "quorum" to ${needs.results} or more${draws}`;
}

/** The fewest results of a round; sites that are drawn by weights may all be the same one. */
function leastQuorum(job: Job): number {
  const { sample, weights } = job;
  if (!sample) return quorumOf(job);
  const different = sample.by === 'equal' || weights.type !== 'sites';
  return sampleQuorum(job, different ? Math.min(sample.sites, siteNames(job).length) : 1);
}
