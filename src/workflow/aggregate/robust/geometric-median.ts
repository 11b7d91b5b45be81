// The geometric median (RFA: Pillutla et al. 2022, Robust Aggregation for Federated Learning): the
// point with the least sum of distances to the updates, by smoothed Weiszfeld steps.
import { z } from 'zod';
import { row } from '../../../core/row.js';
import type { Aggregator } from '../aggregator.js';
import { updateProducts } from './distances.js';
import { majority, needing } from './needing.js';
import { byWeights, exactWeights } from './weighted-results.js';
import { type GeometricMedianOptions, weiszfeld } from './weiszfeld.js';

/**
 * `base + sum of weight × update` with the weights of the geometric median. Each distance counts by
 * the site's samples, as a result does in `mean`. All points on the way are sums of the updates, so
 * the steps need the updates' dot products alone: one pass, however many steps.
 */
export function geometricMedian(options: GeometricMedianOptions): Aggregator {
  return needing(majority('geometricMedian'), (input) =>
    byWeights(
      input,
      async (ordered) => weiszfeld(await updateProducts(ordered, input), exactWeights(ordered), options),
      'the geometric median of the results',
    ),
  );
}

/** The row `geometricMedian`, with the options `iterations`, `tolerance` and `smoothing`. */
export const geometricMedianRow = row(
  'geometricMedian',
  z.strictObject({
    iterations: z.int().min(1).max(10_000).default(100),
    tolerance: z.number().min(0).default(1e-6),
    smoothing: z.number().positive().default(1e-6),
  }),
  geometricMedian,
);
