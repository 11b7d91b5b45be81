import { expect, test } from 'vitest';
import { eventLine, metricsLine, parseEventLine, parseMetricsLine, parseRecordedLine } from './event-lines.js';
import type { RunEvent } from './events.js';

const event: RunEvent = { type: 'round-started', round: 3, run: 'r-1', time: '2026-01-02T03:04:05.678Z', atMs: 12 };

test('an event is a line, its stamp behind its type, and an event again', () => {
  expect(eventLine(event)).toBe('{"type":"round-started","run":"r-1","time":"2026-01-02T03:04:05.678Z","atMs":12,"round":3}');
  expect(parseEventLine(eventLine(event), 'x')).toEqual(event);
  expect(parseRecordedLine(eventLine(event), 'x')).toEqual(event);
});

test('a step keeps its figures alone in metrics.jsonl', () => {
  const step = { type: 'step', site: 'a', round: 1, step: 2, loss: 0.1 + 0.2, learningRate: 0.5, tokens: 8 } as const;
  const line = '{"site":"a","round":1,"step":2,"loss":0.30000000000000004,"learningRate":0.5,"tokens":8}';
  expect(metricsLine(step)).toBe(line);
  expect(parseMetricsLine(line, 'x')).toEqual(step);
});

test.each([
  ['round', '{"type":"round-started","round":1,"atMs":5}', { type: 'round-started', round: 1, atMs: 5 }],
  [
    'start, whose run was the name',
    '{"type":"run-started","run":"demo","codec":"nf4","streaming":"file","sites":["a"],"rounds":2,"seed":1,"startedAt":"2026-01-02T03:04:05.000Z","atMs":0}',
    {
      type: 'run-started',
      name: 'demo',
      codec: 'nf4',
      streaming: 'file',
      sites: ['a'],
      rounds: 2,
      seed: 1,
      startedAt: '2026-01-02T03:04:05.000Z',
      atMs: 0,
    },
  ],
])('a line of before the run id: %s', (_, line, expected) => {
  expect(parseRecordedLine(line, 'x')).toStrictEqual(expected);
});

test('fields and kinds of later versions are ignored', () => {
  const later = JSON.stringify({ ...event, figure: 1, nested: { more: true } });
  expect(parseRecordedLine(later, 'x')).toStrictEqual(event);
  expect(parseEventLine(later, 'x')).toStrictEqual(event);
  expect(parseRecordedLine('{"type":"asked","run":"r","time":"2030-01-01T00:00:00.000Z","atMs":1}', 'x')).toBeUndefined();
});

test.each(['', '{', 'null', '[]', '"round-started"', '{"round":1}', '{"type":1}', '{"type":"round-started"}'])(
  '%j is refused by its place',
  (line) => {
    expect(() => parseRecordedLine(line, 'run/events.jsonl line 7')).toThrow(/^run\/events.jsonl line 7 is not a line of a run/);
  },
);

test.each([
  ['no run', { run: undefined }],
  ['no time', { time: undefined }],
  ['a time without milliseconds', { time: '2026-01-02T03:04:05Z' }],
  ['a time of another zone', { time: '2026-01-02T03:04:05.000+02:00' }],
  ['no atMs', { atMs: undefined }],
])('one process does not take from another an event with %s', (_, change) => {
  expect(() => parseEventLine(JSON.stringify({ ...event, ...change }), 'the server')).toThrow('the server is not a line of a run');
});
