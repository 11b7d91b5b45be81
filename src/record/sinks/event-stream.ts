// The events of a run as an async iterable, for programs that embed FedStream.
import type { RunEvent } from '../events.js';
import { DroppingQueue } from './dropping-queue.js';
import type { Sink } from './sink.js';

/** A sink to read from: `for await (const event of stream)` ends when the run does. */
export interface EventStream extends Sink, AsyncIterableIterator<RunEvent> {
  /** Events dropped so far because nobody read them in time. */
  readonly dropped: number;
}

/** Settings of an event stream. */
export interface EventStreamOptions {
  /** The most events that may wait for a reader that is slower than the run; 1024 by default. */
  readonly limit?: number;
}

/**
 * Makes a sink that can be read. Beyond `limit` waiting events the oldest are dropped, so that
 * memory stays bounded and the reader always sees the end of the run; an event `events-dropped`
 * with their count takes their place. There is one reader: leaving its loop ends the stream.
 */
export function eventStream({ limit = 1024 }: EventStreamOptions = {}): EventStream {
  return new BoundedStream(limit);
}

type Wake = (result: IteratorResult<RunEvent>) => void;

class BoundedStream implements EventStream {
  readonly #queue: DroppingQueue;
  /** Reads that wait for an event, oldest first. */
  readonly #reads: Wake[] = [];
  #ended = false;

  constructor(limit: number) {
    this.#queue = new DroppingQueue(limit);
  }

  get dropped(): number {
    return this.#queue.dropped;
  }

  emit(event: RunEvent): void {
    if (this.#ended) return;
    const wake = this.#reads.shift();
    if (wake) wake({ value: event, done: false });
    else this.#queue.push(event);
  }

  /** After the close, waiting events can still be read. */
  async close(): Promise<void> {
    this.#ended = true;
    for (const wake of this.#reads.splice(0)) wake({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<RunEvent>> {
    const value = this.#queue.take();
    if (value) return Promise.resolve({ value, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => {
      this.#reads.push(resolve);
    });
  }

  async return(): Promise<IteratorResult<RunEvent>> {
    this.#queue.clear();
    await this.close();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
