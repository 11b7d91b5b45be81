// The sections of a report about models and data of single sites.
import { expect, test } from 'vitest';
import type { RecordedEvent } from '../../record/events.js';
import { buildSummary } from '../../record/summary.js';
import { HOSTILE_TEXT } from '../../testing/sample-events.js';
import { siteEvaluations } from './site-evaluations.js';
import { statisticsSection } from './statistics.js';

/** The cells of each row of a section, without its markup. */
function rowsOf(text: string): string[][] {
  return text
    .split('<tr>')
    .slice(1)
    .map((row) =>
      (row.split('</tr>')[0] as string)
        .split(/<t[hd][^>]*>/)
        .slice(1)
        .map((cell) =>
          cell
            .replace(/<br>.*/s, '')
            .replace(/<[^>]*>/g, '')
            .trim(),
        ),
    );
}

function cell(site: string, loss: number | undefined, trained?: string): RecordedEvent {
  const figures = loss === undefined ? { reason: `no data at ${site}` } : { loss, exactMatch: 0.5, samples: 10 };
  return { type: 'site-evaluation', site, round: 3, ...(trained !== undefined && { trained }), ...figures };
}

test('a matrix of models and sites, with the lowest loss of each column, and who has none', () => {
  const events = [cell('a', 2), cell('b', 3), cell('c', undefined), cell('a', 1, 'a'), cell('b', 5, 'a'), cell('c', undefined, 'a')];
  const { text } = siteEvaluations(buildSummary(events)) as { text: string };
  expect(rowsOf(text)).toEqual([
    ['Model', 'a', 'b', 'c', 'Mean'],
    ['global, round 3', '2.0000', '3.0000', '–', '2.5000'],
    ['a alone, round 3', '1.0000', '5.0000', '–', '3.0000'],
  ]);
  expect(text.match(/<b>[\d.]+<\/b>/g)).toEqual(['<b>3.0000</b>', '<b>1.0000</b>']);
  expect(text).toContain('no figures of c: no data at c');
});

test('one model is a row for each site, and their mean', () => {
  const events = [cell('a', 2), cell('b', 4)];
  const { text } = siteEvaluations(buildSummary(events)) as { text: string };
  expect(rowsOf(text).map((row) => row.slice(0, 2))).toEqual([
    ['Site', 'Loss'],
    ['a', '2.0000'],
    ['b', '4.0000'],
    ['mean, by samples', '3.0000'],
  ]);
});

test('what was told twice stands there once, and a run without such figures has no section', () => {
  expect(buildSummary([cell('a', 2), cell('a', 1)]).siteEvaluations).toHaveLength(1);
  expect(siteEvaluations(buildSummary([]))).toBeUndefined();
  expect(statisticsSection(buildSummary([]))).toBeUndefined();
});

test('statistics of the sites and of all, with names that are shown and not obeyed', () => {
  const lengths = { count: 40, sum: 400, sumOfSquares: 4360, bins: [{ from: 8, to: 16, count: 40 }] };
  const statistics = {
    leastCount: 10,
    samples: 40,
    characters: lengths,
    categories: { bins: [{ name: '<b>x</b>', count: 30 }], other: 10 },
  };
  const { text } = statisticsSection(
    buildSummary([
      { type: 'statistics', site: 'a', statistics },
      { type: 'statistics', site: 'b', reason: HOSTILE_TEXT },
      { type: 'statistics', statistics },
    ]),
  ) as { text: string };
  expect(rowsOf(text)).toEqual([
    ['Site', 'Samples', 'Characters, mean ± deviation', 'Tokens, mean ± deviation', 'Least of a bin'],
    ['a', '40', '10.0 ± 3.0', '–', '10'],
    ['all sites', '40', '10.0 ± 3.0', '–', '10'],
    ['Characters', 'Samples', 'Share'],
    ['8 to 15', '40', ''],
    ['Category', 'a', 'All'],
    ['&lt;b&gt;x&lt;/b&gt;', '30', '30'],
    ['small ones together', '10', '10'],
  ]);
  expect(text).toContain('no statistics of b: a &quot;b&quot;\\u000a');
  expect(text).not.toContain('\u2028');
});
