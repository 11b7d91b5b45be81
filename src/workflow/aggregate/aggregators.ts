// The aggregators that come with FedStream.
import type { Table } from '../../core/row.js';
import { adagradRow } from './adagrad.js';
import { adamRow } from './adam.js';
import type { Aggregator } from './aggregator.js';
import { meanRow } from './mean.js';
import { momentumRow } from './momentum.js';
import { nesterovRow } from './nesterov.js';
import { ROBUST_AGGREGATORS } from './robust/rows.js';
import { sgdRow } from './sgd.js';
import { yogiRow } from './yogi.js';

/** The rows of the built-in aggregators. */
export const AGGREGATORS: Table<Aggregator> = [
  adagradRow,
  adamRow,
  meanRow,
  momentumRow,
  nesterovRow,
  sgdRow,
  yogiRow,
  ...ROBUST_AGGREGATORS,
];
