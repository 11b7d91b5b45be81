// A sink that writes each event as a line of JSON to an output that may be slow, such as a file or
// a pipe.
import { asFedStreamError, type FedStreamError } from '../../core/errors.js';
import { eventLine } from '../event-lines.js';
import type { RunEvent } from '../events.js';
import { DroppingQueue } from './dropping-queue.js';
import type { Sink } from './sink.js';

/** A destination for lines. */
export interface LineOutput {
  /**
   * Writes whole lines, each with its newline; resolves once they are accepted. It is not called
   * again before that.
   */
  write(text: string): Promise<void>;
  close(): Promise<void>;
}

/** Most events that wait while the output accepts none; beyond it the oldest are dropped. */
const WAITING_EVENTS = 16_384;

/** Lines are written in pieces of about this size. */
const PIECE_CHARACTERS = 64 * 1024;

/**
 * Makes a sink that writes in order; a line `events-dropped` has the count of events that had to be
 * dropped.
 */
export function lineSink(output: LineOutput, limit: number = WAITING_EVENTS): Sink {
  return new LineSink(output, limit);
}

class LineSink implements Sink {
  readonly #output: LineOutput;
  readonly #queue: DroppingQueue;
  #writing: Promise<void> | undefined;
  #failure: FedStreamError | undefined;
  #closed: Promise<void> | undefined;

  constructor(output: LineOutput, limit: number) {
    this.#output = output;
    this.#queue = new DroppingQueue(limit);
  }

  emit(event: RunEvent): void {
    if (this.#closed) return;
    if (this.#failure) throw this.#failure;
    this.#queue.push(event);
    this.#writing ??= this.#write();
  }

  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  close(): Promise<void> {
    this.#closed ??= this.flush().finally(() => this.#output.close());
    return this.#closed;
  }

  /** Never rejects. Events that come while it waits go with the next piece. */
  async #write(): Promise<void> {
    try {
      await undefined;
      for (let piece = this.#piece(); piece !== ''; piece = this.#piece()) await this.#output.write(piece);
    } catch (cause) {
      this.#failure = asFedStreamError(cause, 'io');
      this.#queue.clear();
    } finally {
      this.#writing = undefined;
    }
  }

  #piece(): string {
    let piece = '';
    while (piece.length < PIECE_CHARACTERS) {
      const event = this.#queue.take();
      if (!event) break;
      piece += `${eventLine(event)}\n`;
    }
    return piece;
  }
}
