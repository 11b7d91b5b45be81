// The sink that writes `events.jsonl`: a line for every event but steps, and memory only where it
// has changed.
import type { Folder } from '../../core/storage.js';
import { eventLine } from '../event-lines.js';
import type { EventOf, RunEvent } from '../events.js';
import { appendLines, type LineAppender } from '../line-appender.js';
import { EVENTS_FILE } from '../record-files.js';
import type { Sink } from './sink.js';

/** A change of memory below this share is not written, except once a minute. */
const MEMORY_CHANGE = 0.02;
const MEMORY_LINE_MS = 60_000;

/** Opens the file to append events to those that are there. */
export async function eventsFile(folder: Folder): Promise<Sink> {
  return new EventsFile(await appendLines(folder, EVENTS_FILE));
}

class EventsFile implements Sink {
  readonly #lines: LineAppender;
  /** The last line about each process. */
  readonly #lastMemory = new Map<string, EventOf<'memory'> & { readonly atMs: number }>();

  constructor(lines: LineAppender) {
    this.#lines = lines;
  }

  emit(event: RunEvent): void {
    if (event.type === 'step' || (event.type === 'memory' && !this.#worthALine(event))) return;
    this.#lines.add(eventLine(event));
    if (this.#lines.failure) throw this.#lines.failure;
  }

  flush(): Promise<void> {
    return this.#lines.flush();
  }

  close(): Promise<void> {
    return this.#lines.close();
  }

  #worthALine(event: EventOf<'memory'> & { readonly atMs: number }): boolean {
    const last = this.#lastMemory.get(event.process);
    const steady =
      last !== undefined &&
      last.peakRssBytes === event.peakRssBytes &&
      Math.abs(event.rssBytes - last.rssBytes) < MEMORY_CHANGE * last.rssBytes &&
      event.atMs - last.atMs < MEMORY_LINE_MS;
    if (!steady) this.#lastMemory.set(event.process, event);
    return !steady;
  }
}
