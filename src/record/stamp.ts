// The stamp of every event: the run's id, the wall clock, and the run's working time.
import type { EventBody, RunEvent } from './events.js';

/** The clocks of a stamp; tests pass their own. */
export interface Clocks {
  /** Milliseconds since this process began to work on the run; never decreases. */
  elapsedMs(): number;
  /** The wall clock. */
  now(): Date;
}

/**
 * Makes a function that stamps events of a run; `earlierMs` is the working time of earlier
 * processes.
 */
export function stamper(run: string, earlierMs: number, { elapsedMs, now }: Clocks): (body: EventBody) => RunEvent {
  return (body) => ({ ...body, run, time: now().toISOString(), atMs: earlierMs + Math.round(elapsedMs()) });
}
