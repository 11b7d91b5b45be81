// The aggregators that come with FedStream.
import type { Table } from '../../core/row.js';
import type { Aggregator } from './aggregator.js';
import { meanRow } from './mean.js';
import { momentumRow } from './momentum.js';

export const AGGREGATORS: Table<Aggregator> = [meanRow, momentumRow];
