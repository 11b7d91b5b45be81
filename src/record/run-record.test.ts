import { expect, test } from 'vitest';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import type { EventBody } from './events.js';
import { EVENTS_FILE, METRICS_FILE, SUMMARY_FILE } from './record-files.js';
import { openRunRecord, readRunRecord } from './run-record.js';

const started: EventBody = {
  type: 'run-started',
  name: 'demo',
  codec: 'nf4',
  streaming: 'file',
  sites: ['a', 'b'],
  rounds: 2,
  seed: 1,
  startedAt: '2026-01-02T03:04:05.000Z',
};

const step = (site: string, round: number, number: number, loss = 1): EventBody => ({
  type: 'step',
  site,
  round,
  step: number,
  loss,
  learningRate: 0.5,
  tokens: 8,
});

const metricsLines = async (folder: Folder): Promise<unknown[]> =>
  ((await readText(folder, METRICS_FILE)) ?? '')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

test('a step is a line of metrics.jsonl, everything else one of events.jsonl', async () => {
  const folder = memoryFolder();
  const record = await openRunRecord(folder, { elapsedMs: () => 1000 });
  record.emit(started);
  record.emit(step('a', 1, 1, 0.1 + 0.2));
  record.emit({ type: 'evaluation', round: 0, loss: 3, exactMatch: 0.5, samples: 4 });
  await record.close();
  expect(await metricsLines(folder)).toEqual([{ site: 'a', round: 1, step: 1, loss: 0.1 + 0.2, learningRate: 0.5, tokens: 8 }]);
  expect((await readText(folder, EVENTS_FILE))?.split('\n')).toHaveLength(3);
  expect(JSON.parse((await readText(folder, SUMMARY_FILE)) as string)).toEqual(record.summary());
  expect(await readRunRecord(folder)).toEqual({ summary: record.summary(), series: record.series() });
});

test('a run that goes on keeps the steps of the round that was cut short, and takes each once', async () => {
  const folder = memoryFolder();
  const first = await openRunRecord(folder, { elapsedMs: () => 4000 });
  first.emit(started);
  for (const [round, number] of [
    [1, 1],
    [1, 2],
    [2, 3],
  ] as const)
    first.emit(step('a', round, number));
  await first.close();
  await writeText(folder, 'journal.jsonl', '{"round":1,"model":"global/round-0001.safetensors"}\n');
  await writeText(folder, METRICS_FILE, `${await readText(folder, METRICS_FILE)}{"site":"a","rou`);

  const second = await openRunRecord(folder, { elapsedMs: () => 1000 });
  expect(second.summary()).toMatchObject({ run: 'demo', steps: 3 });
  second.emit(step('a', 2, 3));
  second.emit(step('a', 2, 4));
  second.emit({ type: 'run-finished', reason: 'done' });
  await second.close();
  expect(await metricsLines(folder)).toMatchObject([{ step: 1 }, { step: 2 }, { step: 3 }, { step: 4 }]);
  expect(second.summary()).toMatchObject({ wallSeconds: 5, steps: 4, reason: 'done' });
  expect(await readRunRecord(folder)).toMatchObject({ summary: { wallSeconds: 5, steps: 4 } });
});

test('steps that a site sends twice count once; a later round may begin at an earlier step', async () => {
  const folder = memoryFolder();
  const record = await openRunRecord(folder, { elapsedMs: () => 0 });
  for (const event of [step('a', 1, 1), step('a', 1, 2), step('a', 1, 1), step('a', 1, 2), step('b', 1, 1), step('a', 2, 1)])
    record.emit(event);
  await record.close();
  expect((await metricsLines(folder)).length).toBe(4);
  expect(record.summary().steps).toBe(4);
});

test('memory that does not change is a line a minute; a new peak is one at once', async () => {
  const folder = memoryFolder();
  let nowMs = 0;
  const record = await openRunRecord(folder, { elapsedMs: () => nowMs });
  for (nowMs = 0; nowMs < 120_000; nowMs += 2000) record.emit({ type: 'memory', process: 'server', rssBytes: 1000, peakRssBytes: 1000 });
  record.emit({ type: 'memory', process: 'server', rssBytes: 1000, peakRssBytes: 3000 });
  await record.close();
  expect((await readText(folder, EVENTS_FILE))?.trimEnd().split('\n')).toHaveLength(3);
  expect(record.summary().peakRssBytes).toEqual({ server: 3000 });
});

test('curves: loss by step of each site, and the steps after which rounds ended', async () => {
  const record = await openRunRecord(memoryFolder(), { elapsedMs: () => 2000 });
  for (const site of ['a', 'b'])
    for (const [round, number] of [
      [1, 1],
      [1, 2],
      [2, 3],
    ] as const)
      record.emit(step(site, round, number, number));
  record.emit({ type: 'memory', process: 'server', rssBytes: 7, peakRssBytes: 9 });
  expect(record.series()).toEqual({
    loss: { a: { x: [1, 2, 3], y: [1, 2, 3], pointsEach: 1 }, b: { x: [1, 2, 3], y: [1, 2, 3], pointsEach: 1 } },
    memory: { server: { x: [2], y: [7], pointsEach: 1 } },
    roundEnds: [2, 3],
  });
  record.emit(step('b', 2, 4));
  expect(record.series().roundEnds).toEqual([]);
  await record.close();
});

test('a damaged line names the file and the line', async () => {
  const folder = memoryFolder();
  await writeText(folder, EVENTS_FILE, `${JSON.stringify(started)}\n{"type":"step","site":1}\n`);
  await expect(readRunRecord(folder)).rejects.toMatchObject({ code: 'io', message: expect.stringContaining('events.jsonl line 2') });
});
