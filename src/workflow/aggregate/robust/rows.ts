// The aggregators that stand sites that lie or break (docs/robust.md).
import type { Table } from '../../../core/row.js';
import type { Aggregator } from '../aggregator.js';
import { bulyanRow } from './bulyan.js';
import { clippedMeanRow } from './clipped-mean.js';
import { geometricMedianRow } from './geometric-median.js';
import { krumRow, multiKrumRow } from './krum.js';
import { medianRow } from './median.js';
import { trimmedMeanRow } from './trimmed-mean.js';

/** Their rows. */
export const ROBUST_AGGREGATORS: Table<Aggregator> = [
  bulyanRow,
  clippedMeanRow,
  geometricMedianRow,
  krumRow,
  medianRow,
  multiKrumRow,
  trimmedMeanRow,
];
