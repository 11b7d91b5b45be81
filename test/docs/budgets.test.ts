// The budgets of peers: the table of the page is the one of the code, the code uses each, and a test reaches each.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { pageWith, amountOf } = (await import(pathToFileURL(join(root, 'scripts/budgets.mjs')).href)) as {
  pageWith(page: string, budgets: object): string;
  amountOf(budget: { limit: number; unit: string }): string;
};

function textsOf(folder: string, wanted: RegExp): string {
  return readdirSync(join(root, folder), { recursive: true })
    .map(String)
    .filter((name) => wanted.test(name))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))
    .join('\n');
}

const sources = textsOf('src', /(?<!\.test)\.ts$/);
const tests = textsOf('test', /\.ts$/) + textsOf('src', /\.test\.ts$/);

test('docs/security.md has the table that the code has', () => {
  const page = readFileSync(join(root, 'docs/security.md'), 'utf8');
  expect(pageWith(page, BUDGETS)).toBe(page);
  expect(pageWith(page, { ...BUDGETS, controlBytes: { ...BUDGETS.controlBytes, limit: 1 } })).not.toBe(page);
});

test.each(Object.entries(BUDGETS))('budget %s is kept by the code, and reached by a test', (name, { limit, why }) => {
  expect(sources).toMatch(new RegExp(`BUDGETS\\.${name}\\b`));
  expect(tests).toMatch(new RegExp(`budget ${name}\\b`));
  expect(limit).toBeGreaterThan(0);
  expect(why.length).toBeGreaterThan(20);
});

test.each([
  [{ limit: 16 * 2 ** 20, unit: 'bytes' }, '16 MiB'],
  [{ limit: 3 * 2 ** 10, unit: 'bytes' }, '3 KiB'],
  [{ limit: 1500, unit: 'bytes' }, '1,500 bytes'],
  [{ limit: 20e9, unit: 'bytes' }, '20 GB'],
  [{ limit: 90_000, unit: 'ms' }, '90 s'],
  [{ limit: 7_200_000, unit: 'ms' }, '2 h'],
  [{ limit: 4096, unit: 'connections' }, '4,096 connections'],
])('%o is written as %s', (budget, written) => {
  expect(amountOf(budget)).toBe(written);
});
