// The kit: tables of what a job can name. They are passed to a server or a site; there is no global
// registry.
import type { CodecTable } from '../codec/codec.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { chosen, type Table } from '../core/row.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import type { Filter } from '../filter/filter.js';
import { checkedJob, type Job } from '../job/job.js';
import type { SinkTable } from '../record/sinks/sink.js';
import type { Aggregator } from '../workflow/aggregate/aggregator.js';
import { AGGREGATORS } from '../workflow/aggregate/aggregators.js';
import type { Workflow } from '../workflow/federation.js';
import { type MakeWorkflow, WORKFLOWS } from '../workflow/workflows.js';
import type { MakeTrainer } from './make-trainer.js';

/** All tables. A server needs all but the trainers; a site needs codecs, filters and trainers. */
export interface Kit {
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly aggregators: Table<Aggregator>;
  readonly workflows: Table<MakeWorkflow>;
  /**
   * Trainers by the name that a job asks for, in addition to the built-in trainer and the programs
   * in a site's config.
   */
  readonly trainers: Table<MakeTrainer>;
  /** Sinks in addition to the files of the run folder. */
  readonly sinks: SinkTable;
}

/** The kit that comes with FedStream. */
export const builtInKit: Kit = {
  codecs: referenceCodecs,
  filters: builtInFiltersWith(referenceCodecs),
  aggregators: AGGREGATORS,
  workflows: WORKFLOWS,
  trainers: [],
  sinks: [],
};

/** Adds rows to the tables of a kit; a row with the same name replaces the existing one. */
export function kitWith(more: Partial<Kit>, kit: Kit = builtInKit): Kit {
  const codecs = { ...kit.codecs, ...more.codecs };
  return {
    codecs,
    // Filters whose options name codecs must know the codecs of this kit.
    filters: joined(kit.codecs === codecs ? kit.filters : joined(kit.filters, builtInFiltersWith(codecs)), more.filters),
    aggregators: joined(kit.aggregators, more.aggregators),
    workflows: joined(kit.workflows, more.workflows),
    trainers: joined(kit.trainers, more.trainers),
    sinks: joined(kit.sinks, more.sinks),
  };
}

/**
 * Returns the job with its defaults, checked against the kit. Throws `bad-job`, which names every
 * wrong field in one line.
 */
export function parseJob(value: unknown, source: string, kit: Kit = builtInKit): Job {
  return checkedJob(value, source, kit);
}

/** Makes the workflow that a job names, with its aggregator. */
export function workflowOf(job: Job, kit: Kit = builtInKit): Workflow {
  return chosen(kit.workflows, job.workflow)({ aggregator: chosen(kit.aggregators, job.aggregator), integers: job.integers });
}

function joined<Made>(table: Table<Made>, rows: Table<Made> = []): Table<Made> {
  return [...table.filter(({ name }) => !rows.some((row) => row.name === name)), ...rows];
}
