// Ditto (Li et al. 2021, "Ditto: Fair and robust federated learning through personalization"): beside
// the global model each site trains one of its own, which a proximal term keeps near to it.
import { z } from 'zod';
import { row } from '../core/row.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import type { Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';
import { trainRound } from './train-round.js';

/** The figure that carries the weight of the proximal term of the personal models. */
const LAMBDA = 'lambda';

/** Options of `ditto`. */
export interface DittoOptions {
  /**
   * The weight of `lambda / 2 × ‖personal − received‖²` in the loss of the personal model; with 0 it is
   * the site's alone.
   */
  readonly lambda: number;
}

/**
 * The global model is made as by `fedAvg`; the personal models stay where they are trained, and the
 * sites tell their figures. Needs trainers that tell that they know `personal`.
 */
export function ditto({ lambda }: DittoOptions): (aggregating: Aggregating) => Workflow {
  return (aggregating) => (federation) =>
    inRounds(federation, async (input) => {
      const outcomes = await trainRound(input, federation, { figures: { [LAMBDA]: lambda }, needs: ['personal'] });
      const model = await aggregated(aggregating, outcomes, input.previous, federation);
      return { outcomes, model, personalRound: input.round };
    });
}

/** The row `ditto`, with the option `lambda`. */
export const dittoRow = row('ditto', z.strictObject({ lambda: z.number().min(0).max(1e6).default(0.1) }), ditto);
