import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { expect, test } from 'vitest';
import type { RecordedEvent } from '../../record/events.js';
import { RunSeriesBuilder } from '../../record/run-series.js';
import { SummaryBuilder } from '../../record/summary.js';
import { reportAssets } from './assets.js';
import type { PageData } from './page/page-data.js';
import { type ReportInput, renderReport } from './render.js';

/** The page's script, as the build made it. */
const assets = reportAssets();

const HOSTILE = '</script><img src=x onerror="alert(1)">\'&<!--\u2028';

function inputOf(events: readonly RecordedEvent[]): ReportInput {
  const summary = new SummaryBuilder();
  const series = new RunSeriesBuilder();
  for (const event of events) {
    summary.add(event);
    series.add(event);
  }
  return { summary: summary.summary(), series: series.series() };
}

function eventsOf(sites: readonly string[], rounds: number, name = 'demo'): RecordedEvent[] {
  const events: RecordedEvent[] = [
    {
      type: 'run-started',
      name: name,
      codec: 'nf4',
      streaming: 'file',
      sites: [...sites],
      rounds,
      seed: 7,
      startedAt: '2026-01-02T03:04:05Z',
    },
    { type: 'evaluation', round: 0, loss: 6.25, exactMatch: 0, samples: 50, byCategory: { [name]: { exactMatch: 0, samples: 50 } } },
  ];
  for (let round = 1; round <= rounds; round++) {
    events.push({ type: 'round-started', round });
    for (const site of sites) {
      const step = { type: 'step', site, round, step: round, loss: 5 / round, atMs: round * 1000 } as const;
      const transfer = { type: 'transfer', site, round, bytes: 141, fp32Bytes: 1000, seconds: 1, retries: 0 } as const;
      events.push(step, { ...transfer, direction: 'down' }, { ...transfer, direction: 'up' });
      events.push({ type: 'site-result', site, round, trainLoss: 5 / round, samples: 1234, steps: 1 });
      events.push({ type: 'memory', process: site, rssBytes: 2 ** 27, peakRssBytes: 2 ** 28, atMs: round * 1000 });
    }
    events.push({
      type: 'evaluation',
      round,
      loss: 4 / round,
      exactMatch: 0.5,
      samples: 50,
      byCategory: { [name]: { exactMatch: 0.5, samples: 50 } },
    });
    events.push({ type: 'round-finished', round, seconds: 2, bytesDown: 141, bytesUp: 141, atMs: round * 1000 });
  }
  return events;
}

function pageData(page: string): PageData {
  const found = /<script type="application\/json" id="page-data">(.*?)<\/script>/s.exec(page);
  return JSON.parse(found?.[1] ?? '') as PageData;
}

const seriesOf = (page: string, id: string) => pageData(page).plots.find((plot) => plot.id === id)?.series ?? [];

test('holds every series, and the place that it is drawn into', () => {
  const page = renderReport(inputOf(eventsOf(['site-1', 'site-2'], 3)), assets);
  expect(seriesOf(page, 'plot-step-loss')).toMatchObject([
    { name: 'site-1', x: [1, 2, 3], y: [5, 2.5, 1.66667], colour: 0 },
    { name: 'site-2', x: [1, 2, 3], colour: 1 },
  ]);
  expect(seriesOf(page, 'plot-round-loss')).toMatchObject([{ name: 'site-1', x: [1, 2, 3] }, { name: 'site-2' }]);
  expect(seriesOf(page, 'plot-evaluation-loss')).toMatchObject([{ x: [0, 1, 2, 3], y: [6.25, 4, 2, 1.33333] }]);
  expect(seriesOf(page, 'plot-exact-match')).toMatchObject([{ x: [0, 1, 2, 3], y: [0, 50, 50, 50] }]);
  expect(seriesOf(page, 'plot-memory')).toMatchObject([{ name: 'site-1', x: [1, 2, 3], y: [128, 128, 128] }, { name: 'site-2' }]);
  for (const { id } of pageData(page).plots) expect(page).toContain(`class="plot" id="${id}"`);
});

test('shows the key figures, each round by site, the settings and the command', () => {
  const input = inputOf([...eventsOf(['site-1'], 2), { type: 'run-finished', reason: 'all rounds are done' }]);
  const page = renderReport(
    { ...input, job: { train: { learningRate: 0.003 }, sites: ['a', 'b'] }, command: 'fedstream simulate' },
    assets,
  );
  expect(page).toContain('2 of 2 rounds finished: all rounds are done');
  expect(page).toContain('<dt>Final loss</dt><dd class="value">2.0000</dd><dd class="note">from 6.2500</dd>');
  expect(page).toContain('<dt>Exact match</dt><dd class="value">50.0 %</dd><dd class="note">from 0.0 %');
  expect(page).toContain('<dd class="value">14.1 %</dd><dd class="note">of float32: 564 B in place of 3.91 KiB</dd>');
  expect(page).toContain('<dd class="value">256.0 MiB</dd>');
  expect(page.match(/<th scope="row">site-1<\/th><td class="number">\d\.\d{4}<\/td><td class="number">1,234<\/td>/g)).toHaveLength(2);
  expect(page).toContain('<th scope="row">train.learningRate</th><td>0.003</td>');
  expect(page).toContain('<th scope="row">sites</th><td>a, b</td>');
  expect(page).toContain('<pre>fedstream simulate</pre>');
});

test('a hostile name is text wherever it stands', () => {
  const input = inputOf([...eventsOf([HOSTILE, `b${HOSTILE}`], 2, HOSTILE), { type: 'warning', message: HOSTILE }]);
  const harmless = renderReport(inputOf([...eventsOf(['a', 'b'], 2), { type: 'warning', message: 'x' }]), assets);
  const page = renderReport({ ...input, job: { [HOSTILE]: HOSTILE }, command: HOSTILE, version: HOSTILE }, assets);
  expect(page).not.toContain('<img');
  expect(page).toContain('&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&amp;');
  expect(page.match(/<\/?script/g)).toEqual(harmless.match(/<\/?script/g));
  expect(seriesOf(page, 'plot-step-loss').map(({ name }) => name)).toEqual([HOSTILE, `b${HOSTILE}`]);
});

test('loads nothing, and its policy lets nothing load', () => {
  const page = renderReport(inputOf(eventsOf(['site-1'], 1)), assets);
  const markup = page.replace(/<script[^>]*>.*?<\/script>/gs, '');
  expect(markup).not.toMatch(/https?:|\bsrc=|\bhref=|<link|<iframe|@import|url\(/);
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'") ?? '';
  expect(policy).toMatch(/^default-src 'none';/);
  expect(page).not.toContain('sourceMappingURL');
  const scripts = [...page.matchAll(/<script(?: type="module")?>(.*?)<\/script>/gs)].map((found) => found[1] as string);
  expect(scripts).toHaveLength(2);
  for (const script of scripts) {
    expect(policy).toContain(`'sha256-${createHash('sha256').update(script).digest('base64')}'`);
    expect(script).not.toMatch(/\bfetch\(|XMLHttpRequest|\bimport\b|WebSocket/);
    expect(() => new Script(script.replace('export {};', ''))).not.toThrow();
  }
});

test('a run without a finished round has a report', () => {
  const begun = renderReport(inputOf(eventsOf(['site-1'], 0)), assets);
  expect(begun).toContain('No site has finished a round.');
  expect(begun).toContain('of the initial model');
  const nothing = renderReport(inputOf([]), assets);
  expect(nothing).toContain('No round has begun.');
  expect(nothing.replace(/<script.*?<\/script>/gs, '')).not.toMatch(/NaN|undefined|Infinity/);
  expect(pageData(nothing).plots.every(({ series }) => series.length === 0)).toBe(true);
});

test('a site without a result, and one that had to go on, are told', () => {
  const events = eventsOf(['a', 'b'], 1).filter((event) => event.type !== 'site-result' || event.site !== 'b');
  const page = renderReport(
    inputOf([...events, { type: 'transfer', site: 'b', round: 1, direction: 'up', bytes: 1, fp32Bytes: 8, seconds: 1, retries: 3 }]),
    assets,
  );
  expect(page).toMatch(/<th scope="row">b<\/th><td class="number">no result<\/td>.*<td class="number">3<\/td><\/tr>/);
});

test('many sites and rounds: the page says what it leaves out', () => {
  const sites = Array.from({ length: 60 }, (_, index) => `site-${index + 1}`);
  const page = renderReport(inputOf(eventsOf(sites, 30)), assets);
  expect(seriesOf(page, 'plot-step-loss')).toHaveLength(16);
  expect(page).toContain('the first 16 of 60 sites');
  expect(page).toMatch(/The first 16 of 30 rounds; summary\.json has all\./);
});
