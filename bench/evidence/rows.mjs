// Results of studies as JSON lines: read, and kept one by one, so that whatever stops a study costs the run under way and no more.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { FedStreamError } from '../../dist/core/errors.js';

/** All rows of a file; none where there is no file. */
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

/** The rows of a study: `has` and `keep` by what `keyOf` makes of a row; of rows with one key the last one stands. */
export function resultsFile(file, keyOf) {
  const rows = new Map(readRows(file).map((row) => [keyOf(row), row]));
  mkdirSync(dirname(file), { recursive: true });
  return {
    has: (row) => rows.has(keyOf(row)),
    keep(row) {
      rows.set(keyOf(row), row);
      // Whole and then renamed: a stop in the middle leaves the old file.
      writeFileSync(`${file}.part`, [...rows.values()].map((one) => `${JSON.stringify(one)}\n`).join(''));
      renameSync(`${file}.part`, file);
    },
  };
}
