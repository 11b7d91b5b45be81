// The workflows that come with FedStream.
import type { Table } from '../core/row.js';
import type { Aggregating } from './aggregate/aggregated.js';
import { cyclicRow } from './cyclic.js';
import { fedAvgRow } from './fed-avg.js';
import type { Workflow } from './federation.js';
import { scaffoldRow } from './scaffold.js';

/** Makes a workflow for a job's way of combining results. */
export type MakeWorkflow = (aggregating: Aggregating) => Workflow;

/** The rows of the built-in workflows, `cyclic`, `fedAvg` and `scaffold`. */
export const WORKFLOWS: Table<MakeWorkflow> = [cyclicRow, fedAvgRow, scaffoldRow];
