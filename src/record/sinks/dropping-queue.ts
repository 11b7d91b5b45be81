// Events that wait for a slow reader, in bounded memory: beyond the limit the oldest are dropped,
// and counted.
import type { RunEvent } from '../events.js';

/** First in, first out. */
export class DroppingQueue {
  readonly #limit: number;
  #events: RunEvent[] = [];
  #untold = 0;
  #dropped = 0;

  /** At most `limit` events wait. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Events dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  push(event: RunEvent): void {
    this.#events.push(event);
    if (this.#events.length <= this.#limit) return;
    this.#events.shift();
    this.#untold++;
    this.#dropped++;
  }

  /**
   * The oldest event; before it an `events-dropped` for those that are missing. Undefined where
   * none waits.
   */
  take(): RunEvent | undefined {
    const next = this.#events[0];
    if (next === undefined || this.#untold === 0) return this.#events.shift();
    const { run, time, atMs } = next;
    const count = this.#untold;
    this.#untold = 0;
    return { type: 'events-dropped', run, time, atMs, count };
  }

  /** Forgets what waits. */
  clear(): void {
    this.#events = [];
  }
}
