// FedProx (Li et al. 2020, "Federated optimization in heterogeneous networks"): a proximal term keeps
// each site's weights near the model that it was given.
import { z } from 'zod';
import { row } from '../core/row.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import type { Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';
import { trainRound } from './train-round.js';

/** The figure that carries the weight of the proximal term, and the ability that it needs. */
export const MU = 'mu';

/** Options of `fedProx`. */
export interface FedProxOptions {
  /** The weight of `mu / 2 × ‖w − received‖²` in each site's loss; above 0. */
  readonly mu: number;
}

/**
 * Federated averaging of sites that train with the proximal term. Needs trainers that tell that they
 * know `mu`; others refuse the task before they train.
 */
export function fedProx({ mu }: FedProxOptions): (aggregating: Aggregating) => Workflow {
  return (aggregating) => (federation) =>
    inRounds(federation, async (input) => {
      const outcomes = await trainRound(input, federation, { figures: { [MU]: mu }, needs: [MU] });
      return { outcomes, model: await aggregated(aggregating, outcomes, input.previous, federation) };
    });
}

/** The row `fedProx`, with the option `mu`. */
export const fedProxRow = row('fedProx', z.strictObject({ mu: z.number().positive().max(1e6).default(0.01) }), fedProx);
