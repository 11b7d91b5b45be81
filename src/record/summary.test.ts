import { expect, test } from 'vitest';
import type { RecordedEvent } from './events.js';
import { buildSummary } from './summary.js';
import { summarySchema } from './summary-schema.js';

const started: RecordedEvent = {
  type: 'run-started',
  name: 'demo',
  codec: 'nf4',
  streaming: 'file',
  sites: ['site-2', 'site-10'],
  rounds: 2,
  seed: 17,
  startedAt: '2026-01-02T03:04:05.000Z',
};

const transfer = (site: string, round: number, direction: 'down' | 'up', bytes: number): RecordedEvent => ({
  type: 'transfer',
  site,
  round,
  direction,
  bytes,
  fp32Bytes: bytes * 8,
  seconds: 0.5,
  retries: 1,
});

const evaluation = (round: number, loss: number, exactMatch: number): RecordedEvent => ({
  type: 'evaluation',
  round,
  loss,
  exactMatch,
  samples: 10,
});

const result = (site: string, round: number, trainLoss: number): RecordedEvent => ({
  type: 'site-result',
  site,
  round,
  trainLoss,
  samples: 100,
  steps: 4,
});

test('gathers what a round moved and gave, by site', () => {
  const summary = buildSummary([
    started,
    evaluation(0, 6, 0),
    { type: 'round-started', round: 1 },
    transfer('site-2', 1, 'down', 100),
    transfer('site-10', 1, 'down', 100),
    { type: 'step', site: 'site-2', round: 1, step: 1, loss: 6, tokens: 64 },
    result('site-2', 1, 5.5),
    transfer('site-2', 1, 'up', 60),
    evaluation(1, 5, 0.25),
    { type: 'round-finished', round: 1, seconds: 2, reduceSeconds: 0.5, bytesDown: 200, bytesUp: 60, atMs: 2500 },
    { type: 'run-finished', reason: 'all rounds are done', atMs: 3000 },
  ]);
  expect(summarySchema.parse(summary)).toEqual(summary);
  expect(summary).toMatchObject({
    run: 'demo',
    codec: 'nf4',
    streaming: 'file',
    wallSeconds: 3,
    reason: 'all rounds are done',
    initial: { loss: 6, exactMatch: 0 },
    final: { round: 1, loss: 5, exactMatch: 0.25 },
    steps: 1,
    tokens: 64,
    bytes: { down: 200, up: 60, total: 260, fp32Total: 2080, ratio: 0.125 },
  });
  expect(summary.rounds).toHaveLength(1);
  expect(summary.rounds[0]).toMatchObject({ round: 1, seconds: 2, reduceSeconds: 0.5 });
  expect(Object.keys(summary.rounds[0]!.sites)).toEqual(['site-2', 'site-10']);
  expect(summary.rounds[0]!.sites['site-2']).toMatchObject({
    trainLoss: 5.5,
    samples: 100,
    steps: 4,
    bytesDown: 100,
    bytesUp: 60,
    fp32BytesDown: 800,
    fp32BytesUp: 480,
    retries: 2,
  });
  expect(summary.rounds[0]!.sites['site-10']).toMatchObject({ trainLoss: null, bytesDown: 100, bytesUp: 0 });
});

test('the best round is by the figure that the job selects by', () => {
  const evaluations = [evaluation(0, 6, 0), evaluation(1, 3, 0.2), evaluation(2, 4, 0.6)];
  expect(buildSummary([started, ...evaluations]).best).toMatchObject({ round: 1 });
  expect(buildSummary([{ ...started, selection: 'exactMatch' }, ...evaluations]).best).toMatchObject({ round: 2 });
  expect(buildSummary([started, ...evaluations]).final).toMatchObject({ round: 2 });
});

test('the peak of a process is the highest ever said of it', () => {
  const memory = (process: string, peakRssBytes: number): RecordedEvent => ({ type: 'memory', process, rssBytes: 5, peakRssBytes });
  const summary = buildSummary([memory('site-1', 70), memory('server', 100), memory('server', 90)]);
  expect(summary.peakRssBytes).toEqual({ server: 100, 'site-1': 70 });
  expect(summary.peakRssBytesTotal).toBe(170);
});

test('a round that was begun again has its last result, and all the bytes that it cost', () => {
  const { rounds, bytes } = buildSummary([
    started,
    { type: 'round-started', round: 1 },
    transfer('site-2', 1, 'down', 100),
    result('site-2', 1, 9),
    { ...started, startedAt: '2027-01-01T00:00:00.000Z' },
    { type: 'round-started', round: 1 },
    transfer('site-2', 1, 'down', 100),
    result('site-2', 1, 5),
  ]);
  expect(rounds).toHaveLength(1);
  expect(rounds[0]!.sites['site-2']).toMatchObject({ trainLoss: 5, bytesDown: 200 });
  expect(bytes.down).toBe(200);
});

test('a run in which nothing happened has a summary', () => {
  const summary = buildSummary([]);
  expect(summarySchema.parse(summary)).toEqual(summary);
  expect(summary).toMatchObject({ initial: null, final: null, best: null, rounds: [], reason: null, bytes: { total: 0, ratio: null } });
});

test('hostile names are keys like others', () => {
  const summary = buildSummary([{ type: 'memory', process: '__proto__', rssBytes: 1, peakRssBytes: 1 }, transfer('__proto__', 1, 'up', 8)]);
  expect(Object.keys(summary.peakRssBytes)).toEqual(['__proto__']);
  expect(Object.keys(summary.rounds[0]!.sites)).toEqual(['__proto__']);
});

test('warnings are counted, and not all kept', () => {
  const summary = buildSummary(Array.from({ length: 80 }, (_, index) => ({ type: 'warning', message: `w${index}` }) as const));
  expect(summary.warningCount).toBe(80);
  expect(summary.warnings[0]).toBe('w0');
  expect(summary.warnings.length).toBeLessThan(80);
});
