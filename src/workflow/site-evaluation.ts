// Figures of a model on the data of each site, one by one.
import type { Outcome, SiteFigures } from './federation.js';

/** The words for a site that gives none: the server cannot tell one reason from the other. */
const NO_FIGURES = 'it has no held-out data, or keeps its figures to itself';

/** The figures of a model by site, in the order of the outcomes. */
export function siteFigures(outcomes: readonly Outcome[], model: Pick<SiteFigures, 'round' | 'trained'>): SiteFigures[] {
  return outcomes.map((outcome) => {
    const { site } = outcome;
    if (outcome.status !== 'done') return { ...model, site, reason: outcome.reason };
    const { evaluation } = outcome.reply.figures;
    return { ...model, site, ...(evaluation ? { evaluation } : { reason: NO_FIGURES }) };
  });
}
