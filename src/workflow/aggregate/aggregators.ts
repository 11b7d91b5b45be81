// The aggregators that come with FedStream.
import type { Table } from '../../core/row.js';
import type { Aggregator } from './aggregator.js';
import { meanRow } from './mean.js';
import { momentumRow } from './momentum.js';

/** The rows of the built-in aggregators, `mean` and `momentum`. */
export const AGGREGATORS: Table<Aggregator> = [meanRow, momentumRow];
