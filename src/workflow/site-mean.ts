// Figures of a model, averaged over the sites' own evaluations.
import { BY_SAMPLES, type Weights } from '../job/weights.js';
import type { Metrics } from '../trainer/trainer.js';
import type { Outcome } from './federation.js';
import { type Weight, weightsOf } from './weights.js';

/**
 * The mean, weighted as the job says, by the samples that each site evaluated on; undefined where
 * no site has held-out data. Of the global model, or of the sites' own ones. `samples` are those that count.
 */
export function siteMean(
  outcomes: readonly Outcome[],
  weights: Weights = BY_SAMPLES,
  of: 'evaluation' | 'personal' = 'evaluation',
): Metrics | undefined {
  const found = outcomes.flatMap((outcome) => {
    const figures = outcome.status === 'done' ? outcome.reply.figures[of] : undefined;
    return figures ? [{ site: outcome.site, samples: figures.samples, figures }] : [];
  });
  if (found.length === 0) return undefined;
  const counted = weightsOf(found, weights);
  let total = 0;
  let samples = 0;
  let loss = 0;
  let exactMatch: number | undefined = 0;
  for (const [index, { figures }] of found.entries()) {
    const { weight, claimed } = counted[index] as Weight;
    total += weight;
    samples += claimed === undefined ? figures.samples : Math.ceil(weight);
    loss += figures.loss * weight;
    // The mean is known only where every site reports exactMatch.
    exactMatch = figures.exactMatch === undefined || exactMatch === undefined ? undefined : exactMatch + figures.exactMatch * weight;
  }
  return { loss: loss / total, exactMatch: exactMatch === undefined ? undefined : exactMatch / total, samples };
}
