// Writes the table of budgets into docs/security.md, from src/core/budgets.ts. With --check it fails if the page is not current.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join(root, 'docs/security.md');
const BEGIN = '<!-- budgets: made by node scripts/budgets.mjs -->\n';
const END = '<!-- end of budgets -->\n';

const UNITS = [
  ['GB', 1e9],
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
];
const TIMES = [
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** A limit as the page writes it: 16 MiB, 30 s, 256 connections. */
export function amountOf({ limit, unit }) {
  const scale = unit === 'bytes' ? UNITS : unit === 'ms' ? TIMES : [];
  const [name, size] = scale.find(([, size]) => limit >= size && limit % size === 0) ?? [unit, 1];
  return `${(limit / size).toLocaleString('en-US')} ${name}`;
}

/** The table of the budgets. */
export function budgetTable(budgets) {
  const rows = Object.entries(budgets).map(
    ([name, budget]) => `| \`${name}\` | ${amountOf(budget)} | ${budget.each} | ${budget.beyond} | ${budget.why} |`,
  );
  return ['| budget | at most | each | beyond it | because |', '| --- | --- | --- | --- | --- |', ...rows, ''].join('\n');
}

/** The page with the table in its place. */
export function pageWith(page, budgets) {
  const from = page.indexOf(BEGIN) + BEGIN.length;
  const to = page.indexOf(END);
  if (from < BEGIN.length || to < from) throw new Error('docs/security.md has no place for the budgets');
  return `${page.slice(0, from)}\n${budgetTable(budgets)}\n${page.slice(to)}`;
}

async function main() {
  const isCheck = process.argv.includes('--check');
  if (!isCheck) await build();
  const { BUDGETS } = await import(new URL('../dist/core/budgets.js', import.meta.url).href);
  const page = readFileSync(PAGE, 'utf8');
  const text = pageWith(page, BUDGETS);
  if (!isCheck) writeFileSync(PAGE, text);
  else if (page !== text) {
    process.stderr.write('docs/security.md is not current: run node scripts/budgets.mjs\n');
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
