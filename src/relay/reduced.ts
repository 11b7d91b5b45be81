// What a relay answers for its sites: their mean as one result, and figures that are theirs together.
import { BUDGETS } from '../core/budgets.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import type { Job } from '../job/job.js';
import type { Metrics } from '../trainer/trainer.js';
import { type Aggregating, contributionsOf } from '../workflow/aggregate/aggregated.js';
import type { Aggregator } from '../workflow/aggregate/aggregator.js';
import { mean } from '../workflow/aggregate/mean.js';
import type { Federation, Outcome } from '../workflow/federation.js';
import { siteMean } from '../workflow/site-mean.js';
import { weightsOf } from '../workflow/weights.js';

/**
 * The mean of the sites' results. Updates are added to the model that the sites were given. Whole
 * weights stay as they are: what their dtypes could not hold of the model is added above.
 */
const relayed: Aggregator = (input) =>
  mean({ ...input, results: input.results.map((result) => (result.isUpdate ? result : { ...result, base: undefined })) });

/** How a relay combines results, the same for all rounds of a job. */
export function relaying({ integers }: Job): Aggregating {
  return { aggregator: relayed, integers };
}

/**
 * The figures of a training, as one site has them: samples are the sum of those that count, steps and
 * losses their mean by samples, counts the sum.
 */
export function figuresBelow({ id }: Task, outcomes: readonly Outcome[], { job }: Federation): ResultFigures {
  const done = contributionsOf(outcomes).map(({ site, samples, figures }) => ({ site, samples, figures: figures as ResultFigures }));
  const counted = weightsOf(done, job.weights.type === 'samples' ? job.weights : { type: 'samples', share: 1, times: Number.MAX_VALUE });
  const parts = done.map(({ figures }, index) => ({ figures, weight: counted[index]?.weight as number }));
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  const meanOf = (value: (figures: ResultFigures) => number): number =>
    parts.reduce((sum, { figures, weight }) => sum + value(figures) * (weight / total), 0);
  const counts: Record<string, number> = {};
  for (const { figures } of parts) for (const [name, count] of Object.entries(figures.counts)) counts[name] = (counts[name] ?? 0) + count;
  const names = Object.keys(parts[0]?.figures.metrics ?? {});
  const common = names.filter((name) => parts.every(({ figures }) => Object.hasOwn(figures.metrics ?? {}, name)));
  return {
    task: id,
    samples: countable(total),
    steps: Math.round(meanOf(({ steps }) => steps)),
    trainLoss: meanOf(({ trainLoss }) => trainLoss),
    evaluation: evaluationBelow(outcomes, { job }),
    counts,
    metrics: Object.fromEntries(common.map((name) => [name, meanOf(({ metrics }) => metrics?.[name] as number)])),
  };
}

/** The mean of the sites' evaluations; undefined where none has held-out data. */
export function evaluationBelow(outcomes: readonly Outcome[], { job }: Pick<Federation, 'job'>): Metrics | undefined {
  const found = siteMean(outcomes, job.weights);
  return found && { ...found, samples: countable(found.samples) };
}

/** A number of samples as one site may say it. */
function countable(samples: number): number {
  return Math.min(Math.max(1, Math.round(samples)), BUDGETS.samples.limit);
}
