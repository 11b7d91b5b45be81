// How long a server is looked for, as the site's file says it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readSiteConfig } from './site-config.js';

const folder = mkdtempSync(join(tmpdir(), 'fedstream-site-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function retryIn(retry: unknown): number | undefined {
  const file = join(folder, 'site.json');
  writeFileSync(file, JSON.stringify({ retry }));
  return readSiteConfig(file).retryMs;
}

test('a duration with a unit, a number of seconds, or for ever', () => {
  expect([retryIn('2h'), retryIn(90), retryIn('forever'), retryIn(undefined)]).toEqual([
    7_200_000,
    90_000,
    Number.POSITIVE_INFINITY,
    undefined,
  ]);
});

test.each(['soon', -1, ''])('%j is refused, with examples', (retry) => {
  expect(() => retryIn(retry)).toThrow(/site\.json: retry: write a duration such as 30s, 10m, 2h, 1d or forever/);
});
