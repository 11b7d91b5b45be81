// The kit: tables of what a job can name. They are passed to a server or a site; there is no global
// registry.
import type { CodecTable } from '../codec/codec.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { FedStreamError } from '../core/errors.js';
import { chosen, type Table } from '../core/row.js';
import { builtInFiltersWith } from '../filter/built-in.js';
import type { Filter } from '../filter/filter.js';
import type { AlgorithmTable } from '../job/algorithms.js';
import { checkedJob, type Job } from '../job/job.js';
import type { SinkTable } from '../record/sinks/sink.js';
import type { Aggregating } from '../workflow/aggregate/aggregated.js';
import type { Aggregator } from '../workflow/aggregate/aggregator.js';
import { AGGREGATORS } from '../workflow/aggregate/aggregators.js';
import type { Workflow } from '../workflow/federation.js';
import { loraAggregator } from '../workflow/lora/lora-aggregator.js';
import { loraWorkflow } from '../workflow/lora/lora-workflow.js';
import { type MakeWorkflow, WORKFLOWS } from '../workflow/workflows.js';
import { ALGORITHMS } from './algorithms.js';
import type { MakeTrainer } from './make-trainer.js';
import { unfitAggregator } from './unfit-aggregator.js';

/** All tables. A server needs all but the trainers; a site needs codecs, filters and trainers. */
export interface Kit {
  readonly codecs: CodecTable;
  readonly filters: Table<Filter>;
  readonly aggregators: Table<Aggregator>;
  readonly workflows: Table<MakeWorkflow>;
  /** Names for settings of a job that belong together. */
  readonly algorithms: AlgorithmTable;
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
  algorithms: ALGORITHMS,
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
    algorithms: joined(kit.algorithms, more.algorithms),
    trainers: joined(kit.trainers, more.trainers),
    sinks: joined(kit.sinks, more.sinks),
  };
}

/**
 * Returns the job with its defaults, checked against the kit. Throws `bad-job`, which names every
 * wrong field in one line.
 */
export function parseJob(value: unknown, source: string, kit: Kit = builtInKit): Job {
  const job = checkedJob(value, source, kit);
  const unfit = unfitAggregator(job, chosen(kit.aggregators, job.aggregator), chosen(kit.workflows, job.workflow));
  if (unfit !== undefined) throw new FedStreamError('bad-job', `${source}: aggregator: ${unfit}`);
  return job;
}

/** Makes the workflow that a job names, with its aggregator. */
export function workflowOf(job: Job, kit: Kit = builtInKit): Workflow {
  return loraWorkflow(job.lora, chosen(kit.workflows, job.workflow)(aggregatingOf(job, kit)));
}

/** How the job combines results. */
export function aggregatingOf(job: Job, kit: Kit = builtInKit): Aggregating {
  return { aggregator: loraAggregator(job.lora, chosen(kit.aggregators, job.aggregator)), integers: job.integers };
}

function joined<Named extends { readonly name: string }>(table: readonly Named[], rows: readonly Named[] = []): readonly Named[] {
  return [...table.filter(({ name }) => !rows.some((row) => row.name === name)), ...rows];
}
