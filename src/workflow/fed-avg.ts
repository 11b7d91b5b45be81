// Federated averaging (McMahan et al. 2017): every round all sites train the global model, and the
// aggregator combines their results.
import { z } from 'zod';
import { row } from '../core/row.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import type { Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';

/** Runs as many rounds as the job asks for. */
export function fedAvg(aggregating: Aggregating): Workflow {
  return (federation) =>
    inRounds(federation, async ({ offer, previous, evaluate }) => {
      const outcomes = await federation.gather({ kind: 'train', offer, evaluate });
      return { outcomes, model: await aggregated(aggregating, outcomes, previous, federation) };
    });
}

/** The row `fedAvg`; it has no options. */
export const fedAvgRow = row('fedAvg', z.strictObject({}), () => fedAvg);
