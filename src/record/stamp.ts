// The stamp of every event: the run's id, the wall clock, and how long the run has worked.
import type { EventBody, RunEvent } from './events.js';

/** The clocks of a stamp; tests pass their own. */
export interface Clocks {
  /** Milliseconds since this process began to work on the run; does not go back. */
  elapsedMs(): number;
  /** The wall clock. */
  now(): Date;
}

/**
 * Makes events of what happened in a run; `earlierMs` is how long earlier processes have worked on
 * it.
 */
export function stamper(run: string, earlierMs: number, { elapsedMs, now }: Clocks): (body: EventBody) => RunEvent {
  return (body) => ({ ...body, run, time: now().toISOString(), atMs: earlierMs + Math.round(elapsedMs()) });
}
