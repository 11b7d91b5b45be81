// The workflows that come with FedStream.
import type { Table } from '../core/row.js';
import type { Aggregating } from './aggregate/aggregated.js';
import { cyclicRow } from './cyclic.js';
import { fedAvgRow } from './fed-avg.js';
import type { Workflow } from './federation.js';
import { scaffoldRow } from './scaffold.js';

/** A workflow, once it is told how the job combines results. */
export type MakeWorkflow = (aggregating: Aggregating) => Workflow;

export const WORKFLOWS: Table<MakeWorkflow> = [cyclicRow, fedAvgRow, scaffoldRow];
