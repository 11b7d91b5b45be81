// Reads and keeps the results of studies as JSON lines, one by one, so that a study that is stopped
// loses only the current run.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { FedStreamError } from '../../dist/core/errors.js';

/** All rows of a file; none if there is no file. */
export function readRows(file) {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((line, index) => {
    if (line === '') return [];
    try {
      return [JSON.parse(line)];
    } catch (cause) {
      throw new FedStreamError('bad-data', `${file} line ${index + 1} is no JSON; remove it to go on without it`, { cause });
    }
  });
}

/** The rows of a study, by `keyOf`; a later row replaces an earlier one with the same key. */
export function resultsFile(file, keyOf) {
  const rows = new Map(readRows(file).map((row) => [keyOf(row), row]));
  mkdirSync(dirname(file), { recursive: true });
  return {
    has: (row) => rows.has(keyOf(row)),
    keep(row) {
      rows.set(keyOf(row), row);
      // Written whole and then renamed, so that an interruption leaves the old file.
      writeFileSync(`${file}.part`, [...rows.values()].map((one) => `${JSON.stringify(one)}\n`).join(''));
      renameSync(`${file}.part`, file);
    },
  };
}
