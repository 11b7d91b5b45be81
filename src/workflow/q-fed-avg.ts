// q-FedAvg (Li et al. 2020, "Fair resource allocation in federated learning"): a model that is about as
// good for every site.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { row } from '../core/row.js';
import { type Adjust, having } from './aggregate/adjust.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import { type FairOptions, fairWeights } from './fair-weights.js';
import type { Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';
import { weightsIn } from './sample.js';
import { scaledUpdate } from './scaled-update.js';
import { trainRound } from './train-round.js';
import type { Weight } from './weights.js';

/**
 * Results weighted by the loss of the model that their sites were given. Needs sites with held-out
 * data of their own: those whose trainer tells that it has none refuse the task before they train.
 */
export function qFedAvg(options: FairOptions): (aggregating: Aggregating) => Workflow {
  return (aggregating) => (federation) =>
    inRounds(federation, async (input) => {
      const outcomes = await trainRound({ ...input, evaluate: true }, federation, { needs: ['evaluation'] });
      return { outcomes, model: await aggregated(aggregating, outcomes, input.previous, federation, fair(options)) };
    });
}

function fair(options: FairOptions): Adjust {
  return (results, previous, federation) => {
    const { job, codecs, round, log } = federation;
    const why = 'it has no figures of the model that the site was given, and results are weighted by its loss';
    const evaluated = having(results, ({ figures }) => figures?.evaluation, why, federation);
    if (evaluated.length === 0) throw new FedStreamError('quorum', `no site has evaluated the model that it was given in round ${round}`);
    const claims = evaluated.map(({ result: { site, samples, norm }, figure: { loss } }) => ({ site, weight: samples, loss, norm }));
    const { weights, step } = fairWeights(claims, options, weightsIn(job, federation.sample()));
    log.info(
      { round, step, weights: Object.fromEntries(weights.map(({ site, weight }) => [site, weight])) },
      'results are weighted by losses',
    );
    return evaluated.map(({ result }, i) => {
      const weighted = { ...result, samples: (weights[i] as Weight).weight };
      return step === 1 ? weighted : scaledUpdate(weighted, step, previous, codecs);
    });
  };
}

/** The row `qFedAvg`, with the options `q` and `lipschitz`. */
export const qFedAvgRow = row(
  'qFedAvg',
  z.strictObject({ q: z.number().min(0).max(100).default(1), lipschitz: z.number().positive().max(1e12).optional() }),
  (options) => Object.assign(qFedAvg(options), { averages: 'the losses' }),
);
