// docs/run-folder.md names every file and every figure that a run writes, and no others.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EVENTS_FILE, METRICS_FILE, SUMMARY_FILE } from '../../src/record/record-files.js';
import { buildSummary } from '../../src/record/summary.js';
import { summarySchema } from '../../src/record/summary-schema.js';
import { JOURNAL_FILE } from '../../src/server/journal.js';

const text = readFileSync(new URL('../../docs/run-folder.md', import.meta.url), 'utf8');

/** The names in code style in the first column of the table under a heading. */
function namesUnder(heading: string): string[] {
  const rest = text.slice(text.indexOf(heading));
  const rows = rest.slice(rest.indexOf('|---')).split('\n\n')[0]?.split('\n').slice(1) ?? [];
  return rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map((found) => found[1] as string));
}

test('the files', () => {
  expect(namesUnder('# The run folder')).toEqual(expect.arrayContaining([SUMMARY_FILE, METRICS_FILE, EVENTS_FILE, JOURNAL_FILE]));
});

test('the figures of summary.json, both ways', () => {
  expect(namesUnder('## summary.json').sort()).toEqual(Object.keys(summarySchema.shape).sort());
});

test('the figures of a site in a round, and of a transfer', () => {
  const summary = buildSummary([
    { type: 'transfer', site: 'a', round: 1, direction: 'up', bytes: 1, fp32Bytes: 8, seconds: 1, retries: 0 },
  ]);
  for (const name of [...Object.keys(summary.rounds[0]?.sites.a ?? {}), ...Object.keys(summary.bytes)])
    expect(text).toMatch(new RegExp(`\\b${name}\\b`));
});
