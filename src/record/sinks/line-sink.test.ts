import { expect, test } from 'vitest';
import type { RunEvent } from '../events.js';
import { lineSink } from './line-sink.js';

const event = (round: number): RunEvent => ({ type: 'round-started', round, run: 'r', time: '2026-01-02T03:04:05.000Z', atMs: round });

const roundsIn = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { round?: number; count?: number })
    .map(({ round, count }) => round ?? { dropped: count });

test('one piece at a time; an output that takes nothing costs a bounded number of events', async () => {
  let text = '';
  let writes = 0;
  let release: () => void = () => {};
  const write = async (piece: string): Promise<void> => {
    expect(++writes).toBe(1);
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    text += piece;
    writes--;
  };
  const sink = lineSink({ write, close: async () => {} }, 4);
  sink.emit(event(1));
  await new Promise((resolve) => setTimeout(resolve));
  for (let round = 2; round <= 11; round++) sink.emit(event(round));
  release();
  const flushed = sink.flush?.();
  await new Promise((resolve) => setTimeout(resolve));
  release();
  await flushed;
  expect(roundsIn(text)).toEqual([1, { dropped: 6 }, 8, 9, 10, 11]);
});

test('a failure is thrown by the next emit, and told by flush and close; the output is closed', async () => {
  let closed = 0;
  const write = () => Promise.reject(new Error('gone'));
  const sink = lineSink({ write, close: async () => void closed++ });
  sink.emit(event(1));
  await expect(sink.flush?.()).rejects.toMatchObject({ code: 'io', message: 'gone' });
  expect(() => sink.emit(event(2))).toThrow('gone');
  await expect(sink.close()).rejects.toMatchObject({ code: 'io' });
  expect(closed).toBe(1);
});
