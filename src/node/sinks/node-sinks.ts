// The sinks of the kit on Node: rows that a command or a program chooses from by name.
import { resolve } from 'node:path';
import { z } from 'zod';
import { choiceSchema, chosen, row } from '../../core/row.js';
import { lineSink } from '../../record/sinks/line-sink.js';
import { openRunFiles } from '../../record/sinks/run-files.js';
import type { OpenSink, SinkTable } from '../../record/sinks/sink.js';
import { nodeFolder } from '../storage/node-folder.js';
import { fileOutput, streamOutput } from './line-outputs.js';

const path = z.string().min(1).max(4096);

/** What a run folder has of its events, in a folder of its own as well: on another disk, or one that others can read. */
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

/** Built-in sinks: `files` and `jsonl`. A table of one's own adds rows to these: `[...nodeSinks, mine]`. */
export const nodeSinks: SinkTable = [files, jsonl];

/** Opens what a choice names, such as `{"type": "jsonl", "path": "events.jsonl"}`; the rows of `table` are what there is. */
export function openSink(choice: unknown, table: SinkTable = nodeSinks): ReturnType<OpenSink> {
  return chosen(table, choiceSchema(table, 'sink').parse(choice as never))();
}
