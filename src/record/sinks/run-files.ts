// The sink `files`: what a run leaves of its events in a folder, `events.jsonl`, `metrics.jsonl`
// and `summary.json`.
import type { Folder } from '../../core/storage.js';
import type { RecordedEvent, RunEvent } from '../events.js';
import { Figures } from '../figures.js';
import { filterLines } from '../line-file.js';
import { EVENTS_FILE, METRICS_FILE, replay } from '../record-files.js';
import { eventsFile } from './events-file.js';
import { metricsFile } from './metrics-file.js';
import type { Sink } from './sink.js';
import { summaryFile } from './summary-file.js';

/**
 * Opens the files, new ones or those of a run that goes on: every event in them is read again into
 * the figures, and handed to `onReplayed`. Steps of a round that was cut short are kept: a site
 * that has given its result does not do them again.
 */
export async function openRunFiles(folder: Folder, onReplayed: (event: RecordedEvent) => void = () => {}): Promise<RunFiles> {
  // A line that a crash cut short goes.
  for (const file of [METRICS_FILE, EVENTS_FILE]) await filterLines(folder, file, () => true);
  const figures = new Figures();
  await replay(folder, (event) => {
    figures.add(event);
    onReplayed(event);
  });
  return new RunFiles(figures, [await eventsFile(folder), await metricsFile(folder), summaryFile(folder, figures)]);
}

/** The files are one sink: what keeps one of them from the disk keeps the others too. */
export class RunFiles implements Sink {
  readonly figures: Figures;
  readonly #parts: readonly Sink[];
  #closed: Promise<void> | undefined;

  constructor(figures: Figures, parts: readonly Sink[]) {
    this.figures = figures;
    this.#parts = parts;
  }

  emit(event: RunEvent): void {
    if (this.#closed) return;
    this.figures.add(event);
    for (const part of this.#parts) part.emit(event);
  }

  /** In order: the summary says no more than the lines do. */
  async flush(): Promise<void> {
    for (const part of this.#parts) await part.flush?.();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Closes all of them, and then tells the first failure. */
  async #close(): Promise<void> {
    const failures: unknown[] = [];
    for (const part of this.#parts) await part.close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
