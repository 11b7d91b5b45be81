// Figures of a model, averaged over the sites' own evaluations.
import type { Metrics } from '../trainer/trainer.js';
import type { Outcome } from './federation.js';

/** The mean, weighted by each site's samples; undefined where no site has held-out data. */
export function siteMean(outcomes: readonly Outcome[]): Metrics | undefined {
  let samples = 0;
  let loss = 0;
  let exactMatch: number | undefined = 0;
  for (const outcome of outcomes) {
    const figures = outcome.status === 'done' ? outcome.reply.figures.evaluation : undefined;
    if (!figures) continue;
    samples += figures.samples;
    loss += figures.loss * figures.samples;
    // The mean is known only where every site reports exactMatch.
    exactMatch =
      figures.exactMatch === undefined || exactMatch === undefined ? undefined : exactMatch + figures.exactMatch * figures.samples;
  }
  if (samples === 0) return undefined;
  return { loss: loss / samples, exactMatch: exactMatch === undefined ? undefined : exactMatch / samples, samples };
}
