// The sink `files`, which writes a run's `events.jsonl`, `metrics.jsonl` and `summary.json`.
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
 * Opens the files, new ones or those of a run that continues: every event in them is added to the
 * figures again and passed to `onReplayed`. Steps of a round that was cut short are kept, because a
 * site that has sent its result does not repeat them.
 */
export async function openRunFiles(folder: Folder, onReplayed: (event: RecordedEvent) => void = () => {}): Promise<RunFiles> {
  // A line that a crash cut short is removed.
  for (const file of [METRICS_FILE, EVENTS_FILE]) await filterLines(folder, file, () => true);
  const figures = new Figures();
  await replay(folder, (event) => {
    figures.add(event);
    onReplayed(event);
  });
  return new RunFiles(figures, [await eventsFile(folder), await metricsFile(folder), summaryFile(folder, figures)]);
}

/** The files act as one sink: if one of them fails, all are closed. */
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

  /** Flushes in order, so that the summary never says more than the lines. */
  async flush(): Promise<void> {
    for (const part of this.#parts) await part.flush?.();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Closes all files, then rejects with the first failure. */
  async #close(): Promise<void> {
    const failures: unknown[] = [];
    for (const part of this.#parts) await part.close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
