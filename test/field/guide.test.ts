// The guide's page is that of the tables, which have enough rows, each with a name of its own.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { guidePage } from './guide.js';
import { TABLES } from './tables.js';

const PAGE = new URL('../../docs/guide/bring-your-own.md', import.meta.url);

test('docs/guide/bring-your-own.md is made of the tables (node scripts/field.mjs)', () => {
  if (process.env.FEDSTREAM_WRITE_GUIDE) writeFileSync(PAGE, guidePage());
  expect(readFileSync(PAGE, 'utf8')).toBe(guidePage());
});

test('each situation stands once', () => {
  const names = TABLES.flatMap(({ title, rows }) => rows.map(({ name }) => `${title}: ${name}`));
  expect(names.filter((name, index) => names.indexOf(name) < index)).toEqual([]);
});
