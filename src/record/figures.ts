// Figures of a run, updated event by event: its summary, its curves, and how long it has worked.
import type { RecordedEvent } from './events.js';
import { RunSeriesBuilder } from './run-series.js';
import { SummaryBuilder } from './summary.js';

/** Takes one event after the other; memory does not grow with the number of steps. */
export class Figures {
  readonly summary = new SummaryBuilder();
  readonly series = new RunSeriesBuilder();
  /** Milliseconds that the run had worked at the latest event. */
  lastMs = 0;

  add(event: RecordedEvent): void {
    this.lastMs = Math.max(this.lastMs, event.atMs ?? 0);
    this.summary.add(event);
    this.series.add(event);
  }
}
