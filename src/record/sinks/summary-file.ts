// The sink that writes `summary.json`: the figures of the run so far, rewritten after every round
// and at the end.

import { asFedStreamError, type FedStreamError } from '../../core/errors.js';
import { jsonText } from '../../core/json-text.js';
import type { Folder } from '../../core/storage.js';
import { writeText } from '../../core/storage-text.js';
import type { RunEvent } from '../events.js';
import type { Figures } from '../figures.js';
import { SUMMARY_FILE } from '../record-files.js';
import type { Sink } from './sink.js';

/** Writes the summary of `figures`; events are added to them elsewhere. */
export function summaryFile(folder: Folder, figures: Figures): Sink {
  return new SummaryFile(folder, figures);
}

class SummaryFile implements Sink {
  readonly #folder: Folder;
  readonly #figures: Figures;
  #writing: Promise<void> | undefined;
  #isStale = false;
  #failure: FedStreamError | undefined;
  #durable = false;
  #closed: Promise<void> | undefined;

  constructor(folder: Folder, figures: Figures) {
    this.#folder = folder;
    this.#figures = figures;
  }

  emit({ type }: RunEvent): void {
    if (this.#closed) return;
    if (this.#failure) throw this.#failure;
    if (type === 'round-finished') this.#begin();
  }

  async flush(): Promise<void> {
    this.#begin();
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  close(): Promise<void> {
    // Until then the events say the same, should the machine crash.
    this.#durable = true;
    this.#closed ??= this.flush();
    return this.#closed;
  }

  #begin(): void {
    this.#isStale = true;
    this.#writing ??= this.#write();
  }

  /** Never rejects. One write runs at a time; figures that change meanwhile are written again. */
  async #write(): Promise<void> {
    try {
      while (this.#isStale) {
        this.#isStale = false;
        const text = `${jsonText(this.#figures.summary.summary(), SUMMARY_FILE, 2)}\n`;
        await writeText(this.#folder, SUMMARY_FILE, text, { durable: this.#durable });
      }
    } catch (cause) {
      this.#failure = asFedStreamError(cause, 'io');
    } finally {
      this.#writing = undefined;
    }
  }
}
