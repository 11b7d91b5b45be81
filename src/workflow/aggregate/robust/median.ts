// The coordinate-wise median (Yin et al. 2018, Byzantine-Robust Distributed Learning: Towards
// Optimal Statistical Rates): each value is the median of the sites'.
import { z } from 'zod';
import { row } from '../../../core/row.js';
import type { Aggregator } from '../aggregator.js';
import { byColumns } from './column-rule.js';
import { majority, needing } from './needing.js';

/**
 * `base + median of the sites' values`, value by value; of an even number the mean of the two in the
 * middle, in float32. Every site counts once, whatever its samples.
 */
export const median: Aggregator = needing(majority('median'), (input) =>
  byColumns(input, (results) => ({ rule: 'middle', trim: (results - 1) >>> 1 }), 'the median of the results'),
);

/** The row `median`; it has no options. */
export const medianRow = row('median', z.strictObject({}), () => median);
