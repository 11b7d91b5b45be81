// The files of a run's record: their names, and how their events are read back.
import type { Folder } from '../core/storage.js';
import { parseMetricsLine, parseRecordedLine } from './event-lines.js';
import type { RecordedEvent } from './events.js';
import { readLines } from './line-file.js';

/** Has a line for every event but steps. */
export const EVENTS_FILE = 'events.jsonl';
/** Has a line `{site, round, step, loss, learningRate, tokens}` for every optimizer step. */
export const METRICS_FILE = 'metrics.jsonl';
/** Has the figures that events and steps add up to. */
export const SUMMARY_FILE = 'summary.json';

/** Passes every event in the files to `add`, steps last. Throws `io`, naming a damaged line. */
export async function replay(folder: Folder, add: (event: RecordedEvent) => void): Promise<void> {
  let number = 0;
  for await (const line of readLines(folder, EVENTS_FILE)) {
    const event = parseRecordedLine(line, `${folder.label}/${EVENTS_FILE} line ${++number}`);
    if (event) add(event);
  }
  number = 0;
  for await (const line of readLines(folder, METRICS_FILE)) add(parseMetricsLine(line, `${folder.label}/${METRICS_FILE} line ${++number}`));
}
