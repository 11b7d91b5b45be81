// The coordinate-wise trimmed mean (Yin et al. 2018): of each value, the mean without the smallest
// and the largest of the sites'.
import { z } from 'zod';
import { row } from '../../../core/row.js';
import type { Aggregator, LeastResults } from '../aggregator.js';
import { byColumns } from './column-rule.js';
import { needing } from './needing.js';

/** Options of `trimmedMean`. */
export interface TrimmedMeanOptions {
  /**
   * The values that are left out at each end: below 1/2 a share of the results, rounded down; from
   * 1 on a number.
   */
  readonly trim: number;
}

/**
 * `base + mean of the values between the trimmed ends`, in float32. Every site counts once, whatever
 * its samples.
 */
export function trimmedMean({ trim }: TrimmedMeanOptions): Aggregator {
  return needing(leastFor(trim), (input) =>
    byColumns(input, (results) => ({ rule: 'middle', trim: trimmed(trim, results) }), 'the trimmed mean of the results'),
  );
}

/** The values that are left out at each end, of so many results. */
function trimmed(trim: number, results: number): number {
  return trim < 1 ? Math.floor(trim * results) : trim;
}

/** A share must leave out something, and a number must leave something over. */
function leastFor(trim: number): LeastResults {
  if (trim >= 1) {
    const results = 2 * trim + 1;
    return { results, because: `"trimmedMean" with trim ${trim} needs 2 × trim + 1 = ${results} results` };
  }
  let results = 1;
  while (trimmed(trim, results) === 0) results++;
  return {
    results,
    because: `"trimmedMean" with trim ${trim} leaves out ${trim} × results at each end, which is none below ${results} results`,
  };
}

const trimSchema = z
  .number()
  .refine(
    (trim) => (trim >= 0.001 && trim < 0.5) || (Number.isInteger(trim) && trim >= 1),
    'must be a share from 0.001 to below 0.5, or a whole number from 1',
  );

/** The row `trimmedMean`, with the option `trim`. */
export const trimmedMeanRow = row('trimmedMean', z.strictObject({ trim: trimSchema.default(0.2) }), trimmedMean);
