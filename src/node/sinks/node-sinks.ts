// The sinks of the kit on Node, chosen by name.
import { resolve } from 'node:path';
import { z } from 'zod';
import { choose, row } from '../../core/row.js';
import { lineSink } from '../../record/sinks/line-sink.js';
import { openRunFiles } from '../../record/sinks/run-files.js';
import type { OpenSink, Sink, SinkTable } from '../../record/sinks/sink.js';
import { nodeFolder } from '../storage/node-folder.js';
import { fileOutput, streamOutput } from './line-outputs.js';

const path = z.string().min(1).max(4096);

/**
 * The sink `files`: writes the event files of a run folder to another folder as well, such as one
 * on a second disk or one that others can read.
 */
const files = row(
  'files',
  z.strictObject({ path }),
  ({ path }): OpenSink =>
    () =>
      openRunFiles(nodeFolder(resolve(path))),
);

/** The sink `jsonl`: appends every event to a file, as a line of JSON; `-` is standard output. */
const jsonl = row(
  'jsonl',
  z.strictObject({ path }),
  ({ path }): OpenSink =>
    async () => {
      return lineSink(path === '-' ? streamOutput(process.stdout, 'standard output') : await fileOutput(path));
    },
);

/**
 * The built-in sinks: `files` and `jsonl`. Your own table can add rows to them: `[...nodeSinks,
 * mine]`.
 */
export const nodeSinks: SinkTable = [files, jsonl];

/**
 * Opens the sink that a choice names, such as `{"type": "jsonl", "path": "events.jsonl"}`, from the
 * rows of `table`. Rejects with `bad-argument` if there is no such sink or option, and with the
 * sink's own error if it cannot be opened.
 */
export async function openSink(choice: unknown, table: SinkTable = nodeSinks): Promise<Sink> {
  return choose(table, choice, 'sink')();
}
