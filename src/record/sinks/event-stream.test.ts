import { expect, test } from 'vitest';
import type { RunEvent } from '../events.js';
import { eventStream } from './event-stream.js';

const event = (round: number): RunEvent => ({ type: 'round-started', round, run: 'r', time: '2026-01-02T03:04:05.000Z', atMs: round });

test('hands over events as they come, and ends with the run', async () => {
  const stream = eventStream();
  const rounds: number[] = [];
  const reading = (async () => {
    for await (const found of stream) if (found.type === 'round-started') rounds.push(found.round);
  })();
  stream.emit(event(1));
  stream.emit(event(2));
  await new Promise((resolve) => setTimeout(resolve));
  expect(rounds).toEqual([1, 2]);
  stream.emit(event(3));
  await stream.close();
  await reading;
  expect(rounds).toEqual([1, 2, 3]);
});

test('a slow reader misses the oldest, is told how many, and sees the end', async () => {
  const stream = eventStream({ limit: 3 });
  for (let round = 1; round <= 10; round++) stream.emit(event(round));
  expect(stream.dropped).toBe(7);
  expect(await stream.next()).toEqual({
    done: false,
    value: { type: 'events-dropped', count: 7, run: 'r', time: '2026-01-02T03:04:05.000Z', atMs: 8 },
  });
  expect((await stream.next()).value).toEqual(event(8));
  for (let round = 11; round <= 13; round++) stream.emit(event(round));
  await stream.close();
  stream.emit(event(14));
  const rest: RunEvent[] = [];
  for await (const found of stream) rest.push(found);
  expect(rest).toMatchObject([{ type: 'events-dropped', count: 2 }, event(11), event(12), event(13)]);
  expect(stream.dropped).toBe(9);
});

test('whoever leaves the loop ends the stream', async () => {
  const stream = eventStream();
  for (let round = 1; round <= 5; round++) stream.emit(event(round));
  for await (const found of stream) if (found.type === 'round-started' && found.round === 2) break;
  stream.emit(event(6));
  expect(await stream.next()).toEqual({ value: undefined, done: true });
});

test('reads that wait are answered in order', async () => {
  const stream = eventStream();
  const reads = [stream.next(), stream.next(), stream.next()];
  stream.emit(event(1));
  stream.emit(event(2));
  await stream.close();
  expect(await Promise.all(reads)).toEqual([
    { value: event(1), done: false },
    { value: event(2), done: false },
    { value: undefined, done: true },
  ]);
});
