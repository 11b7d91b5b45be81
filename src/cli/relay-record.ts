// The record of a relay's own sites: the files of its run folder, a report, and progress for people.
import { join } from 'node:path';
import type { Logger } from '../core/log.js';
import type { Job } from '../job/job.js';
import { processMemory } from '../node/process/memory.js';
import { runStarted } from '../node/run/run-started.js';
import type { EmitEvent } from '../record/events.js';
import { openRunRecord, type RunRecord } from '../record/run-record.js';
import { type Below, INNER_FOLDER } from '../relay/relay.js';
import { nameOfRun } from '../site/run-place.js';
import { finishRun } from './finish-run.js';
import { type EventReporter, eventReporter } from './progress.js';

const MEMORY_MS = 1_000;

/** Options of `RelayRecord`. */
export interface RelayRecordOptions {
  readonly name: string;
  /** The relay's work folder. */
  readonly work: string;
  /** True where another process shows progress. */
  readonly supervised: boolean;
  readonly log: Logger;
}

/** Records the run of a relay's sites, from when it is known. */
export class RelayRecord {
  readonly #options: RelayRecordOptions;
  #open:
    | { readonly record: RunRecord; readonly runPath: string; readonly job: Job; readonly reporter: EventReporter | undefined }
    | undefined;
  #memory: ReturnType<typeof setInterval> | undefined;

  constructor(options: RelayRecordOptions) {
    this.#options = options;
  }

  /** Opens the record in the folder of the run below; returns the receiver of its events. */
  async open({ job, run, above }: Below): Promise<EmitEvent> {
    const { name, work, supervised, log } = this.#options;
    const reporter = supervised ? undefined : eventReporter(job);
    const sinks = reporter && { progress: { emit: reporter.event, close: async () => {} } };
    const record = await openRunRecord(run, { log, ...(sinks && { sinks }) });
    this.#open = { record, runPath: join(work, nameOfRun(above), INNER_FOLDER), job, reporter };
    if (record.summary().startedAt === null) record.emit(runStarted(name, job));
    this.#memory = setInterval(() => record.emit({ type: 'memory', process: name, ...processMemory() }), MEMORY_MS);
    return record.emit;
  }

  finished(reason: string): void {
    this.#open?.record.emit({ type: 'run-finished', reason });
  }

  /** Closes the record and writes summary and report; returns the report's path, where there was a run. */
  async close(): Promise<string | undefined> {
    clearInterval(this.#memory);
    if (!this.#open) return undefined;
    const { record, runPath, job, reporter } = this.#open;
    reporter?.end();
    await record.close();
    await finishRun(runPath, job, 'fedstream relay');
    return join(runPath, 'report.html');
  }
}
