// FedNova (Wang et al. 2020, "Tackling the objective inconsistency problem in heterogeneous federated
// optimization"): sites that take different numbers of steps, each update divided by its own.
import { z } from 'zod';
import { row } from '../core/row.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import type { Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';
import { type NormalizedOptions, normalized } from './normalized.js';
import { trainRound } from './train-round.js';

/**
 * Federated averaging of normalized updates: `w += τ_eff × Σ pᵢ × Δᵢ / ‖aᵢ‖₁`. The same as `fedAvg`, to
 * the bit, where all sites take as many steps.
 */
export function fedNova(options: NormalizedOptions = {}): (aggregating: Aggregating) => Workflow {
  return (aggregating) => (federation) =>
    inRounds(federation, async (input) => {
      const outcomes = await trainRound(input, federation);
      return { outcomes, model: await aggregated(aggregating, outcomes, input.previous, federation, normalized(options)) };
    });
}

/** The row `fedNova`, with the option `momentum`. */
export const fedNovaRow = row('fedNova', z.strictObject({ momentum: z.number().min(0).lt(1).default(0) }), (options) =>
  Object.assign(fedNova(options), { averages: 'the numbers of steps' }),
);
