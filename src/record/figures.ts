// Figures of a run, updated with each event: its summary, its curves, and its working time.
import type { RecordedEvent } from './events.js';
import { RunSeriesBuilder } from './run-series.js';
import { SummaryBuilder } from './summary.js';

/** Takes events one after the other; memory does not grow with the number of steps. */
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
