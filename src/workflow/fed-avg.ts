// Federated averaging (McMahan et al. 2017): every round all sites, or those that are drawn, train the
// global model, and the aggregator combines their results.
import { z } from 'zod';
import { row } from '../core/row.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import type { Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';
import { trainRound } from './train-round.js';

/** Runs as many rounds as the job asks for. */
export function fedAvg(aggregating: Aggregating): Workflow {
  return (federation) =>
    inRounds(federation, async (input) => {
      const outcomes = await trainRound(input, federation);
      return { outcomes, model: await aggregated(aggregating, outcomes, input.previous, federation) };
    });
}

/** The row `fedAvg`; it has no options. */
export const fedAvgRow = row('fedAvg', z.strictObject({}), () => fedAvg);
