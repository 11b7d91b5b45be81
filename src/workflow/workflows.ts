// The workflows that come with FedStream.
import type { Table } from '../core/row.js';
import type { Job } from '../job/job.js';
import type { Aggregating } from './aggregate/aggregated.js';
import { cyclicRow } from './cyclic.js';
import { dittoRow } from './ditto.js';
import { fedAvgRow } from './fed-avg.js';
import { fedBuffRow } from './fed-buff.js';
import { fedNovaRow } from './fed-nova.js';
import { fedProxRow } from './fed-prox.js';
import { federatedEvaluationRow } from './federated-evaluation.js';
import type { Workflow } from './federation.js';
import { qFedAvgRow } from './q-fed-avg.js';
import { scaffoldRow } from './scaffold.js';
import { statisticsRow } from './statistics.js';
import { streamingRow } from './streaming.js';
import { swarmRow } from './swarm.js';

/** Makes a workflow for a job's way of combining results. */
export interface MakeWorkflow {
  (aggregating: Aggregating): Workflow;
  /**
   * The least results of a job that are given to its aggregator at once, where that is not the
   * quorum.
   */
  readonly leastResults?: (job: Job) => number;
  /** What the workflow averages of the results itself, whatever the aggregator; for messages. */
  readonly averages?: string;
}

/** The rows of the built-in workflows, in the order of their names. */
export const WORKFLOWS: Table<MakeWorkflow> = [
  cyclicRow,
  dittoRow,
  fedAvgRow,
  fedBuffRow,
  federatedEvaluationRow,
  fedNovaRow,
  fedProxRow,
  qFedAvgRow,
  scaffoldRow,
  statisticsRow,
  streamingRow,
  swarmRow,
];
