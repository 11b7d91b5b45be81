// Puts tables into docs/performance.md, between the marks of their makers.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tablesOf } from './tables.mjs';

/** The page. */
export const PAGE = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));

/** The page with another text between the marks of a maker, `<!-- NAME -->` and `<!-- end of NAME -->`. */
export function withPart(page, name, text) {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${begin} … ${end} for the tables`);
  return `${page.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${page.slice(to)}`;
}

/** Writes the tables of the rows into the page. */
export function writeTables(rows) {
  writeFileSync(PAGE, withPart(readFileSync(PAGE, 'utf8'), 'bench/peers.mjs', tablesOf(rows)));
}
