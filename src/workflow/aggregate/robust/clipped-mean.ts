// Norm bounding (Sun et al. 2019, Can You Really Backdoor Federated Learning?): updates above a
// bound are scaled down to it, and then averaged. The bound is the median of the round's norms.

import { z } from 'zod';
import { lowerMedian } from '../../../core/lower-median.js';
import { row } from '../../../core/row.js';
import type { Aggregator } from '../aggregator.js';
import { updateProducts } from './distances.js';
import { majority, needing } from './needing.js';
import { byWeights, exactWeights } from './weighted-results.js';

/** Options of `clippedMean`. */
export interface ClippedMeanOptions {
  /** The bound: so many times the median of the norms. */
  readonly times: number;
}

/**
 * `base + sum of weight × min(1, bound / norm) × update`, the weights by samples as those of `mean`.
 * Of an even number of norms the median is the lower of the two in the middle: half of the sites do
 * not set the bound alone.
 */
export function clippedMean({ times }: ClippedMeanOptions): Aggregator {
  return needing(majority('clippedMean'), (input) =>
    byWeights(
      input,
      async (ordered) => {
        const { side, values } = await updateProducts(ordered, input);
        const norms = ordered.map((_, i) => Math.sqrt(values[i * side + i] as number));
        const bound = times * (lowerMedian(norms) as number);
        const weights = exactWeights(ordered);
        return norms.map((norm, i) => (weights[i] as number) * (norm > bound ? bound / norm : 1));
      },
      'the mean of the bounded updates',
    ),
  );
}

/** The row `clippedMean`, with the option `times`. */
export const clippedMeanRow = row('clippedMean', z.strictObject({ times: z.number().positive().default(1) }), clippedMean);
