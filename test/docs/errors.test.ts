// docs/errors.md explains every error code, and no others.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/cli/exit-code.js';
import { ERROR_CODES } from '../../src/core/errors.js';

const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

/** The cells of the table under a heading, without its head. */
function rowsUnder(start: string): string[][] {
  const lines = text.slice(text.indexOf(start)).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|---'));
  const rows = lines.slice(first + 1);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows.slice(0, end < 0 ? undefined : end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test('every code is documented, every documented code exists, in order', () => {
  const rows = rowsUnder('## The codes');
  expect(rows.map(([code]) => code)).toEqual(ERROR_CODES.map((code) => `\`${code}\``));
  expect([...ERROR_CODES]).toEqual([...ERROR_CODES].sort());
  for (const row of rows) {
    expect(row, row[0]).toHaveLength(4);
    for (const cell of row) expect(cell.length, row[0]).toBeGreaterThan(2);
  }
});

test('every exit code is documented', () => {
  expect(rowsUnder('| exit code |').map(([code]) => Number(code))).toEqual(Object.values(EXIT).sort((a, b) => a - b));
});
