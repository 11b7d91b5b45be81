// A bounded queue of events for a slow reader; when it is full, the oldest are dropped and counted.
import type { RunEvent } from '../events.js';

/** A first-in, first-out queue of events. */
export class DroppingQueue {
  readonly #limit: number;
  #events: RunEvent[] = [];
  #untold = 0;
  #dropped = 0;

  /** `limit` is the most events that may wait. */
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
   * Takes the oldest event; where events were dropped before it, first an `events-dropped` with
   * their count. Undefined where none waits.
   */
  take(): RunEvent | undefined {
    const next = this.#events[0];
    if (next === undefined || this.#untold === 0) return this.#events.shift();
    const { run, time, atMs } = next;
    const count = this.#untold;
    this.#untold = 0;
    return { type: 'events-dropped', run, time, atMs, count };
  }

  /** Drops all waiting events. */
  clear(): void {
    this.#events = [];
  }
}
