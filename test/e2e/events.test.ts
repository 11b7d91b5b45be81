// The events of a real run, in its files and on standard output, are those of docs/events.md.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { EVENT_KINDS, type RunEvent, stampSchema } from '../../src/record/events.js';
import { rowsUnder } from '../docs/tables.js';
import { jobFile, run, SMALL_JOB, workFolder } from './command.js';

const folder = workFolder();
const read = (path: string): string => readFileSync(join(folder, path), 'utf8');
const eventsIn = (text: string): RunEvent[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RunEvent);

let kept: RunEvent[] = [];
let printed: RunEvent[] = [];

beforeAll(async () => {
  const ended = await run(['simulate', '--job', jobFile(folder), '--name', 'watched', '--events', '-'], folder);
  expect(ended.code, ended.stderr).toBe(0);
  kept = eventsIn(read('runs/watched/events.jsonl'));
  printed = eventsIn(ended.stdout);
});

/** Checks an event against its schema; refuses undocumented fields. */
function checkStrictly(event: RunEvent): void {
  const kind = EVENT_KINDS.find(({ shape }) => shape.type.value === event.type);
  expect(kind, event.type).toBeDefined();
  z.strictObject({ ...kind?.shape, ...stampSchema.shape }).parse(event);
}

test('every event has its schema', () => {
  for (const event of [...kept, ...printed]) checkStrictly(event);
});

test('every event is of this run, and time goes on', () => {
  const id = read('runs/watched/run-name').trim();
  for (const events of [kept, printed]) {
    expect([...new Set(events.map(({ run }) => run))]).toEqual([id]);
    const times = events.map(({ atMs }) => atMs);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
    for (const { time } of events) expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(600_000);
  }
  expect(kept[0]).toMatchObject({ type: 'run-started', name: 'watched' });
});

test('each kind of event occurs as often as the page says', () => {
  const R = SMALL_JOB.rounds;
  const S = SMALL_JOB.sites;
  const often: Readonly<Record<string, readonly [least: number, most: number]>> = {
    '0': [0, 0],
    '1': [1, 1],
    R: [R, R],
    'S × R': [S * R, S * R],
    '0 or more': [0, Number.POSITIVE_INFINITY],
    'S × R or more': [S * R, Number.POSITIVE_INFINITY],
    '2 × S × R or more': [2 * S * R, Number.POSITIVE_INFINITY],
    // Of workflows that this job does not have.
    '0, or `buffer` × R': [0, 0],
    '0, or S for each model': [0, 0],
    '0, or S + 1': [0, 0],
    'S + 1 or more': [S + 1, Number.POSITIVE_INFINITY],
  };
  const page = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');
  for (const [kind = '', count = ''] of rowsUnder(page, '## Kinds')) {
    const [least, most] = often[count] ?? [Number.NaN, Number.NaN];
    const found = printed.filter(({ type }) => `\`${type}\`` === kind).length;
    expect(found, kind).toBeGreaterThanOrEqual(least);
    expect(found, kind).toBeLessThanOrEqual(most);
  }
});

test('--events has the events of both files', () => {
  const steps = printed.filter(({ type }) => type === 'step');
  const figures = steps.map(({ type, run: _run, time, atMs, ...step }) => step);
  expect(eventsIn(read('runs/watched/metrics.jsonl'))).toEqual(figures);
  const others = (events: readonly RunEvent[]) => events.filter(({ type }) => type !== 'step' && type !== 'memory');
  expect(others(kept)).toEqual(others(printed));
  expect(kept.at(-1)).toMatchObject({ type: 'memory', process: 'simulator' });
  expect(printed.at(-1)).toEqual(kept.at(-1));
});

test('train appends to a file', async () => {
  const args = ['train', '--job', jobFile(folder, { rounds: 1 }), '--threads', '1', '--events', 'events.jsonl'];
  for (const name of ['one', 'two']) {
    const ended = await run([...args, '--name', name], folder);
    expect(ended.code, ended.stderr).toBe(0);
  }
  const events = eventsIn(read('events.jsonl'));
  for (const event of events) checkStrictly(event);
  const ids = ['one', 'two'].map((name) => read(`runs/${name}/run-name`).trim());
  expect([...new Set(events.map(({ run }) => run))]).toEqual(ids);
  expect(events.filter(({ type }) => type === 'step')).toHaveLength(2 * SMALL_JOB.train.localSteps);
});

test.each([
  [['simulate', '--events', 'none/x'], 'cannot write events to none/x: there is no such file; check the path'],
  [['server', '--events', '.'], '. is no regular file; name one, or - for standard output'],
  [['train', '--events', '-', '--json'], '--events - and --json both write to standard output; give --events a file'],
])('%j is refused before anything is made', async (args, message) => {
  const ended = await run([...args, '--job', jobFile(folder), '--name', 'none'], folder);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain(message);
  expect(() => read('runs/none/job.json')).toThrow('ENOENT');
});
