import { expect, test, vi } from 'vitest';
import { silentLogger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import type { EventBody, RunEvent } from './events.js';
import { EVENTS_FILE, METRICS_FILE, SUMMARY_FILE } from './record-files.js';
import { RUN_ID_FILE } from './run-id.js';
import { openRunRecord, readRunRecord } from './run-record.js';
import { eventStream } from './sinks/event-stream.js';

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

test('every line says of which run it is and when it was', async () => {
  const folder = memoryFolder();
  const now = () => new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6));
  const record = await openRunRecord(folder, { elapsedMs: () => 1000, now });
  record.emit(started);
  await record.close();
  const again = await openRunRecord(folder, { elapsedMs: () => 500, now });
  again.emit({ type: 'round-started', round: 1 });
  await again.close();
  const run = ((await readText(folder, RUN_ID_FILE)) as string).trim();
  const lines = ((await readText(folder, EVENTS_FILE)) as string).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { ...started, run, time: '2026-01-02T03:04:05.006Z', atMs: 1000 },
    { type: 'round-started', round: 1, run, time: '2026-01-02T03:04:05.006Z', atMs: 1500 },
  ]);
});

test('a folder of before the run id is read, and goes on', async () => {
  const folder = memoryFolder();
  const old = [
    '{"type":"run-started","run":"old","codec":"nf4","streaming":"file","sites":["a"],"rounds":2,"seed":1,"startedAt":"2025-01-02T03:04:05.000Z","selection":"loss","parameters":640,"atMs":12}',
    '{"type":"evaluation","round":0,"loss":6.25,"exactMatch":0,"samples":4,"atMs":100}',
    '{"type":"round-started","round":1,"atMs":120}',
    '{"type":"memory","process":"server","rssBytes":100,"peakRssBytes":200,"atMs":130}',
    '{"type":"transfer","site":"a","round":1,"direction":"up","bytes":80,"fp32Bytes":640,"ownBytes":320,"seconds":0.5,"retries":0,"resumedBytes":0,"peakRssBytes":200,"atMs":1400}',
    '{"type":"site-result","site":"a","round":1,"trainLoss":5.5,"samples":10,"steps":1,"counts":{"saturated":1},"atMs":1500}',
    '{"type":"round-finished","round":1,"seconds":1.5,"reduceSeconds":0.1,"bytesDown":0,"bytesUp":80,"atMs":2000}',
  ];
  await writeText(folder, EVENTS_FILE, `${old.join('\n')}\n`);
  await writeText(folder, METRICS_FILE, '{"site":"a","round":1,"step":1,"loss":6,"learningRate":0.5,"tokens":8}\n');
  expect(await readRunRecord(folder)).toMatchObject({
    summary: {
      run: 'old',
      codec: 'nf4',
      startedAt: '2025-01-02T03:04:05.000Z',
      parameters: 640,
      wallSeconds: 2,
      initial: { loss: 6.25 },
      rounds: [{ round: 1, seconds: 1.5, sites: { a: { trainLoss: 5.5, bytesUp: 80, counts: { saturated: 1 } } } }],
      steps: 1,
      tokens: 8,
      bytes: { up: 80, ratio: 0.125, ownRatio: 0.25 },
      peakRssBytes: { server: 200 },
    },
    series: { loss: { a: { x: [1], y: [6] } }, memory: { server: { x: [0.13], y: [100] } } },
  });
  const record = await openRunRecord(folder, { elapsedMs: () => 1000 });
  record.emit(step('a', 1, 1));
  record.emit({ type: 'run-finished', reason: 'done' });
  await record.close();
  expect(record.summary()).toMatchObject({ run: 'old', wallSeconds: 3, steps: 1, reason: 'done' });
  expect((await readText(folder, EVENTS_FILE))?.split('\n').slice(0, old.length)).toEqual(old);
});

test('further sinks get every event once, steps and memory too', async () => {
  const stream = eventStream();
  const record = await openRunRecord(memoryFolder(), { elapsedMs: () => 7, sinks: { stream } });
  const memory: EventBody = { type: 'memory', process: 'a', rssBytes: 1, peakRssBytes: 1 };
  for (const body of [started, step('a', 1, 1), step('a', 1, 1), memory, memory]) record.emit(body);
  await record.close();
  const found: RunEvent[] = [];
  for await (const event of stream) found.push(event);
  expect(found.map(({ type }) => type)).toEqual(['run-started', 'step', 'memory', 'memory']);
  for (const event of found) expect(event).toMatchObject({ run: expect.stringMatching(/^[0-9a-f-]{36}$/), atMs: 7 });
});

test('a sink that throws is named in the log and in a warning, and the run goes on', async () => {
  const folder = memoryFolder();
  const logged: unknown[] = [];
  const log = { ...silentLogger, error: (fields: object, message: string) => void logged.push({ ...fields, message }) };
  const emit = () => {
    throw new Error('no network');
  };
  const record = await openRunRecord(folder, { log, sinks: { tracking: { emit, close: async () => {} } } });
  record.emit(started);
  record.emit({ type: 'round-started', round: 1 });
  await record.close();
  const message = 'events do not go to tracking any more: no network';
  expect(logged).toEqual([{ sink: 'tracking', code: 'internal', message }]);
  expect((await readRunRecord(folder)).summary).toMatchObject({ run: 'demo', warnings: [message], rounds: [{ round: 1 }] });
});

test('a sink that cannot be closed is a warning in the files', async () => {
  const folder = memoryFolder();
  const close = () => Promise.reject(new Error('lost'));
  const record = await openRunRecord(folder, { sinks: { tracking: { emit: () => {}, close } } });
  await record.close();
  expect((await readRunRecord(folder)).summary.warnings).toEqual(['events do not go to tracking any more: lost']);
});

test('a disk that takes no more does not end the run: further sinks go on, and the end tells', async () => {
  const inner = memoryFolder();
  let isFull = false;
  const folder: Folder = {
    ...bound(inner),
    create: async (name, options) => {
      const file = await inner.create(name, options);
      const write = async (bytes: Uint8Array, position: number): Promise<void> => {
        if (isFull) throw new Error('disk full');
        await file.write(bytes, position);
      };
      return { write, sync: () => file.sync(), close: () => file.close() };
    },
  };
  const stream = eventStream();
  const record = await openRunRecord(folder, { sinks: { stream } });
  isFull = true;
  record.emit({ type: 'round-started', round: 1 });
  await expect(record.flush()).rejects.toMatchObject({ code: 'io', message: 'disk full' });
  record.emit({ type: 'round-started', round: 2 });
  await expect(record.close()).rejects.toMatchObject({ code: 'io', message: 'disk full' });
  const found: RunEvent[] = [];
  for await (const event of stream) found.push(event);
  expect(found).toMatchObject([
    { type: 'round-started', round: 1 },
    { type: 'warning', message: 'events do not go to files any more: disk full' },
    { type: 'round-started', round: 2 },
  ]);
});

test('a record that cannot be opened closes its sinks', async () => {
  const folder = memoryFolder();
  await writeText(folder, EVENTS_FILE, '{"type":"step"}\n');
  const stream = eventStream();
  await expect(openRunRecord(folder, { sinks: { stream } })).rejects.toMatchObject({ code: 'io' });
  expect(await stream.next()).toEqual({ value: undefined, done: true });
});

test('summary.json is rewritten after every round', async () => {
  const folder = memoryFolder();
  const record = await openRunRecord(folder);
  record.emit(started);
  record.emit({ type: 'round-finished', round: 1, seconds: 2, bytesDown: 0, bytesUp: 0 });
  await vi.waitFor(async () => {
    expect(JSON.parse((await readText(folder, SUMMARY_FILE)) ?? '{}')).toMatchObject({ run: 'demo', rounds: [{ round: 1, seconds: 2 }] });
  });
  await record.close();
});

/** The methods of a folder, of which a test replaces some. */
function bound(folder: Folder): Folder {
  return {
    label: folder.label,
    open: (name) => folder.open(name),
    create: (name, options) => folder.create(name, options),
    rename: (from, to) => folder.rename(from, to),
    remove: (name) => folder.remove(name),
    sizeBytes: (name) => folder.sizeBytes(name),
    list: (name) => folder.list(name),
    folder: (name) => folder.folder(name),
  };
}
