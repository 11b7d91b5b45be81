// The rows that were measured, as they lie in the tree.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The file of all rows, one in JSON a line. */
export const ROWS = fileURLToPath(new URL('results.jsonl', import.meta.url));

/** All rows; none where the file is missing. */
export function readRows(file = ROWS) {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}
