// The kit: tables of what a job can name. Whoever starts a server or a site passes the tables in; nothing is registered in a global.
import type { CodecTable } from '../codec/codec.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { chosen, type Table } from '../core/row.js';
import { checkedJob, type Job } from '../job/job.js';
import type { Aggregator } from '../workflow/aggregate/aggregator.js';
import { AGGREGATORS } from '../workflow/aggregate/aggregators.js';
import type { Workflow } from '../workflow/federation.js';
import { type MakeWorkflow, WORKFLOWS } from '../workflow/workflows.js';

export interface Kit {
  readonly workflows: Table<MakeWorkflow>;
  readonly aggregators: Table<Aggregator>;
  readonly codecs: CodecTable;
}

/** What comes with FedStream. */
export const builtInKit: Kit = { workflows: WORKFLOWS, aggregators: AGGREGATORS, codecs: referenceCodecs };

/** The built-in tables with further rows; a row of the same name takes the place of the built-in one. */
export function kitWith(more: Partial<Kit>): Kit {
  const merged = <Made>(table: Table<Made>, rows: Table<Made> = []): Table<Made> => [
    ...table.filter(({ name }) => !rows.some((row) => row.name === name)),
    ...rows,
  ];
  return {
    workflows: merged(builtInKit.workflows, more.workflows),
    aggregators: merged(builtInKit.aggregators, more.aggregators),
    codecs: { ...builtInKit.codecs, ...more.codecs },
  };
}

/** The job with its defaults, checked against the kit; `bad-job` names every field that is wrong, in one line. */
export function parseJob(value: unknown, source: string, kit: Kit = builtInKit): Job {
  return checkedJob(value, source, kit);
}

/** The workflow that a job names, with its aggregator. */
export function workflowOf(job: Job, kit: Kit = builtInKit): Workflow {
  return chosen(kit.workflows, job.workflow)({ aggregator: chosen(kit.aggregators, job.aggregator), integers: job.integers });
}
