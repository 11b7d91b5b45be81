// Strangers write a bounded number of lines, and what they did can be read all the same.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import { silentLogger } from '../core/log.js';
import { StrangerLog } from './stranger-log.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function logged() {
  const lines: string[] = [];
  const log = new StrangerLog({ ...silentLogger, warn: (_, message) => void lines.push(message) });
  return { lines, log };
}

test('budget sameStrangerLines: the first lines of a kind are written, then how many more there were', () => {
  const { lines, log } = logged();
  for (let i = 0; i < 400; i++) log.warn(`10.0.0.7:${i}`, 'limit', `10.0.0.7:${i} sent a frame of ${i} bytes`);
  expect(lines).toEqual(['10.0.0.7:0 sent a frame of 0 bytes', '10.0.0.7:1 sent a frame of 1 bytes']);
  vi.advanceTimersByTime(10_000);
  expect(lines.slice(2)).toEqual(['… and 398 more from 10.0.0.7 in the last 10 s, such as: 10.0.0.7:399 sent a frame of 399 bytes']);
});

test('a flood that goes on has one line in 10 s, and a single line later is written as it is', () => {
  const { lines, log } = logged();
  for (let s = 0; s < 100; s++) {
    for (let i = 0; i < 100; i++) log.warn('10.0.0.7:1', 'limit', 'again');
    vi.advanceTimersByTime(1_000);
  }
  expect(lines).toHaveLength(2 + 10);
  log.warn('10.0.0.7:2', 'limit', 'again');
  vi.advanceTimersByTime(10_000);
  expect(lines.at(-1)).toBe('again');
  vi.advanceTimersByTime(10_000);
  log.warn('10.0.0.7:2', 'limit', 'again, at once');
  expect(lines.at(-1)).toBe('again, at once');
});

test('budget strangerLines: words of its choice do not give a stranger more lines', () => {
  const { lines, log } = logged();
  for (let i = 0; i < 5_000; i++) log.warn('10.0.0.7:1', 'refused', `calls itself ${'x'.repeat(i % 300)}`);
  expect(lines.length).toBeLessThanOrEqual(BUDGETS.strangerLines.limit * BUDGETS.sameStrangerLines.limit);
  vi.advanceTimersByTime(10_000);
  expect(lines.some((line) => /and 49\d\d more from 10\.0\.0\.7/.test(line))).toBe(true);
});

test('budget allStrangerLines: many addresses do not either, and none is forgotten', () => {
  const { lines, log } = logged();
  const count = 3_000;
  for (let i = 0; i < count; i++) log.warn(`10.1.${i >> 8}.${i & 255}:1`, 'refused', 'a stranger');
  expect(lines).toHaveLength(BUDGETS.allStrangerLines.limit);
  log.close();
  expect(lines.length).toBeLessThanOrEqual(2 * BUDGETS.allStrangerLines.limit + 1);
  const more = lines.map((line) => Number(/… and (\d+) more/.exec(line)?.[1] ?? 1)).reduce((sum, one) => sum + one, 0);
  expect(more).toBe(count);
  expect(vi.getTimerCount()).toBe(0);
});
