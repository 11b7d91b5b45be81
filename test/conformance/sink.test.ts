// The built-in sinks fulfil the contract.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, expect, test } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { readText } from '../../src/core/storage-text.js';
import { streamOutput } from '../../src/node/sinks/line-outputs.js';
import { openSink } from '../../src/node/sinks/node-sinks.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { EVENT_KINDS, type RunEvent } from '../../src/record/events.js';
import { eventStream } from '../../src/record/sinks/event-stream.js';
import { lineSink } from '../../src/record/sinks/line-sink.js';
import { openRunFiles } from '../../src/record/sinks/run-files.js';
import { SinkGroup } from '../../src/record/sinks/sink-group.js';
import { sampleEvents } from '../../src/testing/sample-events.js';
import { testSink } from '../../src/testing/sink-conformance.js';

const parent = mkdtempSync(join(tmpdir(), 'fedstream-sink-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));
let made = 0;
const newName = (): string => String(made++);

const parsed = (text = ''): RunEvent[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as RunEvent);

async function filesIn(folder: Folder): Promise<Partial<RunEvent>[]> {
  const steps = parsed(await readText(folder, 'metrics.jsonl')).map((step) => ({ ...step, type: 'step' as const }));
  const events = parsed(await readText(folder, 'events.jsonl'));
  const { steps: counted } = JSON.parse((await readText(folder, 'summary.json')) ?? '{}') as { steps?: number };
  expect(counted).toBe(steps.length);
  return [...events, ...steps];
}

testSink(
  'files',
  async () => {
    const folder = memoryFolder();
    return { sink: await openRunFiles(folder), received: () => filesIn(folder) };
  },
  test,
);

testSink(
  'files, from the table',
  async () => {
    const path = join(parent, newName());
    return { sink: await openSink({ type: 'files', path }), received: () => filesIn(nodeFolder(path)) };
  },
  test,
);

testSink(
  'jsonl',
  async () => {
    const name = newName();
    const sink = await openSink({ type: 'jsonl', path: join(parent, name) });
    return { sink, received: async () => parsed(await readText(nodeFolder(parent), name)) };
  },
  test,
);

testSink(
  'lines to a slow pipe',
  async () => {
    const pipe = new PassThrough({ highWaterMark: 10 });
    let text = '';
    pipe.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    return { sink: lineSink(streamOutput(pipe, 'a pipe'), 1000), received: async () => parsed(text) };
  },
  test,
);

testSink(
  'event stream',
  async () => {
    const stream = eventStream();
    const events: RunEvent[] = [];
    const reading = (async () => {
      for await (const event of stream) events.push(event);
    })();
    const received = async () => {
      await Promise.race([reading, new Promise((resolve) => setTimeout(resolve, 5))]);
      return events;
    };
    return { sink: stream, received };
  },
  test,
);

testSink(
  'group of two',
  async () => {
    const folder = memoryFolder();
    const stream = eventStream();
    const failed = (name: string): never => expect.fail(name);
    return { sink: new SinkGroup({ files: await openRunFiles(folder), stream }, failed), received: () => filesIn(folder) };
  },
  test,
);

test('the suite knows every kind of event', () => {
  expect(sampleEvents().map(({ type }) => type)).toEqual(EVENT_KINDS.map(({ shape }) => shape.type.value));
  for (const event of sampleEvents()) {
    const kind = EVENT_KINDS.find(({ shape }) => shape.type.value === event.type);
    expect(Object.keys(event).sort()).toEqual([...Object.keys(kind?.shape ?? {}), 'run', 'time', 'atMs'].sort());
  }
});
