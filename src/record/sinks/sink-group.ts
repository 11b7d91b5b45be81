// Several sinks as one that never fails: a sink that throws, rejects or hangs is reported by name
// and switched off.
import { asFedStreamError, FedStreamError } from '../../core/errors.js';
import { within } from '../../core/within.js';
import type { RunEvent } from '../events.js';
import type { Sink, Sinks } from './sink.js';

/** Called once for each sink that was switched off. */
export type OnSinkFailure = (name: string, error: FedStreamError) => void;

/**
 * Time limit for a sink to write out its events; a reader that has stopped must not delay the end
 * of a run.
 */
const LIMIT_MS = 10_000;

/** Hands every event to all sinks; `flush` and `close` wait at most `limitMs` for each. */
export class SinkGroup implements Sink {
  readonly #sinks: Map<string, Sink>;
  readonly #onFailure: OnSinkFailure;
  readonly #limitMs: number;
  readonly #closing: Promise<void>[] = [];

  constructor(sinks: Sinks, onFailure: OnSinkFailure, limitMs = LIMIT_MS) {
    this.#sinks = new Map(Object.entries(sinks));
    this.#onFailure = onFailure;
    this.#limitMs = limitMs;
  }

  /** Never throws. */
  emit(event: RunEvent): void {
    const failed: [name: string, error: unknown][] = [];
    for (const [name, sink] of this.#sinks) {
      try {
        // An `emit` that is async by mistake would otherwise end the process where it rejects.
        const returned: unknown = sink.emit(event);
        if (returned instanceof Promise) returned.catch((error: unknown) => this.#switchOff(name, error));
      } catch (error) {
        failed.push([name, error]);
      }
    }
    // Failures are reported after the loop: the report may emit an event itself, which must come
    // after this one for every sink.
    for (const [name, error] of failed) this.#switchOff(name, error);
  }

  /** Never rejects. */
  async flush(): Promise<void> {
    await Promise.all([...this.#sinks].map(([name, sink]) => this.#finish(name, 'flush', async () => sink.flush?.())));
  }

  /** Never rejects; a sink that is not done in time is abandoned. */
  async close(): Promise<void> {
    await Promise.all([...this.#sinks].map(([name, sink]) => this.#finish(name, 'close', async () => sink.close())));
    this.#sinks.clear();
    await Promise.all(this.#closing);
  }

  async #finish(name: string, what: 'flush' | 'close', work: () => Promise<void>): Promise<void> {
    let failure: unknown;
    const done = work().catch((error: unknown) => {
      failure = error ?? new Error('it gave no reason');
    });
    if (!(await within(done, this.#limitMs))) failure = new FedStreamError('timeout', `its ${what} took more than ${this.#limitMs} ms`);
    if (failure !== undefined) this.#switchOff(name, failure, what === 'close');
  }

  #switchOff(name: string, error: unknown, isClosed = false): void {
    const sink = this.#sinks.get(name);
    if (!sink) return;
    this.#sinks.delete(name);
    if (!isClosed) {
      // The sink is closed to release its resources; its failure has been reported already.
      const closed = (async () => sink.close())().catch(() => {});
      this.#closing.push(within(closed, this.#limitMs).then(() => {}));
    }
    this.#onFailure(name, asFedStreamError(error));
  }
}
