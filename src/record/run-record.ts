// The record of a run: stamps events and hands them to the files of the run folder and to further
// sinks.
import { BUDGETS } from '../core/budgets.js';
import type { FedStreamError } from '../core/errors.js';
import { type Logger, silentLogger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { visible } from '../core/visible.js';
import type { EmitEvent, EventBody, RunEvent } from './events.js';
import { Figures } from './figures.js';
import { KnownSteps } from './known-steps.js';
import { replay } from './record-files.js';
import { runIdOf } from './run-id.js';
import type { RunSeries } from './run-series.js';
import { openRunFiles, type RunFiles } from './sinks/run-files.js';
import type { Sinks } from './sinks/sink.js';
import { SinkGroup } from './sinks/sink-group.js';
import { type Clocks, stamper } from './stamp.js';
import type { Summary } from './summary-schema.js';

/** Reads the files of a run folder; changes none of them. */
export async function readRunRecord(folder: Folder): Promise<{ summary: Summary; series: RunSeries }> {
  const figures = new Figures();
  await replay(folder, (event) => figures.add(event));
  return { summary: figures.summary.summary(), series: figures.series.series() };
}

/** Settings of a record; all have defaults. */
export interface RunRecordOptions extends Partial<Clocks> {
  /** Sinks besides the files; the record closes them. */
  readonly sinks?: Sinks;
  /** Logs each sink that is switched off. */
  readonly log?: Logger;
}

/**
 * Opens the record of a run, new or continued. By default its time counts from the start of this
 * process.
 */
export async function openRunRecord(folder: Folder, options: RunRecordOptions = {}): Promise<RunRecord> {
  const { elapsedMs = () => performance.now(), now = () => new Date(), sinks = {}, log = silentLogger } = options;
  const steps = new KnownSteps();
  try {
    const run = await runIdOf(folder);
    const files = await openRunFiles(folder, (event) => {
      if (event.type === 'step') steps.take(event);
    });
    return new RunRecord({ files, stamp: stamper(run, files.figures.lastMs, { elapsedMs, now }), steps, sinks, log });
  } catch (error) {
    // The sinks are closed, so that their readers do not wait for a run that never starts.
    await new SinkGroup(sinks, () => {}).close();
    throw error;
  }
}

/** Time limit for the files; a disk under load may take minutes to make a file durable. */
const FILES_LIMIT_MS = 600_000;

interface RecordParts {
  readonly files: RunFiles;
  readonly stamp: (body: EventBody) => RunEvent;
  readonly steps: KnownSteps;
  readonly sinks: Sinks;
  readonly log: Logger;
}

/** An open record; made by `openRunRecord`. */
export class RunRecord {
  readonly #parts: RecordParts;
  readonly #files: SinkGroup;
  readonly #further: SinkGroup;
  #fileFailure: FedStreamError | undefined;

  constructor(parts: RecordParts) {
    this.#parts = parts;
    const filesFailed = (name: string, error: FedStreamError): void => {
      this.#fileFailure = error;
      this.#tell(name, error);
    };
    this.#files = new SinkGroup({ files: parts.files }, filesFailed, FILES_LIMIT_MS);
    this.#further = new SinkGroup(parts.sinks, (name, error) => this.#tell(name, error));
  }

  /** Records an event; returns at once. A step that is known already is dropped. */
  readonly emit: EmitEvent = (body) => {
    const { steps, stamp } = this.#parts;
    if (body.type === 'step' && !steps.take(body)) return;
    const event = stamp(readable(body));
    this.#files.emit(event);
    this.#further.emit(event);
  };

  summary(): Summary {
    return this.#parts.files.figures.summary.summary();
  }

  series(): RunSeries {
    return this.#parts.files.figures.series.series();
  }

  /**
   * Resolves once the operating system has all lines so far and `summary.json` agrees with them;
   * rejects with the error that keeps the files from the disk.
   */
  async flush(): Promise<void> {
    await this.#files.flush();
    await this.#further.flush();
    if (this.#fileFailure) throw this.#fileFailure;
  }

  /** Writes everything out and closes all sinks; rejects as `flush` does. */
  async close(): Promise<void> {
    await this.#files.flush();
    // Further sinks are closed first, so that the files still get warnings about them.
    await this.#further.close();
    await this.#files.close();
    if (this.#fileFailure) throw this.#fileFailure;
  }

  #tell(name: string, error: FedStreamError): void {
    const message = `events do not go to ${name} any more: ${error.message}`;
    this.#parts.log.error({ sink: name, code: error.code }, message);
    this.emit({ type: 'warning', message });
  }
}

/** Texts for people quote what others have sent: they stay on one line, of a bounded length. */
function readable(body: EventBody): EventBody {
  const { limit } = BUDGETS.eventText;
  if (body.type === 'warning') return { ...body, message: visible(body.message, limit) };
  if ((body.type === 'site-evaluation' || body.type === 'statistics') && body.reason !== undefined)
    return { ...body, reason: visible(body.reason, limit) };
  return body.type === 'run-finished' ? { ...body, reason: visible(body.reason, limit) } : body;
}
