// The sink that writes `metrics.jsonl`: a line for every optimizer step.
import type { Folder } from '../../core/storage.js';
import { metricsLine } from '../event-lines.js';
import type { RunEvent } from '../events.js';
import { appendLines, type LineAppender } from '../line-appender.js';
import { METRICS_FILE } from '../record-files.js';
import type { Sink } from './sink.js';

/** Opens the file to append steps to those that are there. */
export async function metricsFile(folder: Folder): Promise<Sink> {
  return new MetricsFile(await appendLines(folder, METRICS_FILE));
}

class MetricsFile implements Sink {
  readonly #lines: LineAppender;

  constructor(lines: LineAppender) {
    this.#lines = lines;
  }

  emit(event: RunEvent): void {
    if (event.type !== 'step') return;
    this.#lines.add(metricsLine(event));
    if (this.#lines.failure) throw this.#lines.failure;
  }

  flush(): Promise<void> {
    return this.#lines.flush();
  }

  close(): Promise<void> {
    return this.#lines.close();
  }
}
