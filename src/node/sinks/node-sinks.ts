// The sinks of the kit on Node: rows that a command or a program chooses from by name.
import { resolve } from 'node:path';
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';
import { choiceSchema, chosen, row } from '../../core/row.js';
import { lineSink } from '../../record/sinks/line-sink.js';
import { openRunFiles } from '../../record/sinks/run-files.js';
import type { OpenSink, Sink, SinkTable } from '../../record/sinks/sink.js';
import { nodeFolder } from '../storage/node-folder.js';
import { fileOutput, streamOutput } from './line-outputs.js';

const path = z.string().min(1).max(4096);

/**
 * The event files of a run folder once more in another folder: on a second disk, or where others
 * can read them.
 */
const files = row(
  'files',
  z.strictObject({ path }),
  ({ path }): OpenSink =>
    () =>
      openRunFiles(nodeFolder(resolve(path))),
);

/** Every event as a line of JSON, appended to a file; `-` is standard output. */
const jsonl = row(
  'jsonl',
  z.strictObject({ path }),
  ({ path }): OpenSink =>
    async () => {
      return lineSink(path === '-' ? streamOutput(process.stdout, 'standard output') : await fileOutput(path));
    },
);

/**
 * Built-in sinks: `files` and `jsonl`. A table of one's own adds rows to these: `[...nodeSinks,
 * mine]`.
 */
export const nodeSinks: SinkTable = [files, jsonl];

/**
 * Opens what a choice names, such as `{"type": "jsonl", "path": "events.jsonl"}`, from the rows of
 * `table`. Rejects with `bad-argument` where there is no such sink or option, and with the sink's
 * own error where it cannot be opened.
 */
export async function openSink(choice: unknown, table: SinkTable = nodeSinks): Promise<Sink> {
  const { data, error } = choiceSchema(table, 'sink').safeParse(choice as never);
  if (data) return chosen(table, data)();
  const issues = error.issues.map(({ path, message }) => [...path, message].join(': '));
  throw new FedStreamError('bad-argument', `sink ${JSON.stringify(choice)}: ${issues.join('; ')}`);
}
