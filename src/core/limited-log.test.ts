import { expect, test } from 'vitest';
import { Bucket } from './bucket.js';
import { limitedLogger } from './limited-log.js';
import { silentLogger } from './log.js';

test('beyond its lines a minute, one line says that the rest is left out, and a later one how many', () => {
  const lines: string[] = [];
  const write = (_: unknown, message: string): void => void lines.push(message);
  let nowMs = 0;
  const log = limitedLogger({ ...silentLogger, info: write, warn: write }, { linesAMinute: 3, of: 'mallory', now: () => nowMs });
  for (let i = 0; i < 1000; i++) log.info({}, `line ${i}`);
  expect(lines).toEqual([
    'line 0',
    'line 1',
    'line 2',
    "more than 3 lines about mallory in a minute; the rest of this minute's are left out",
  ]);
  nowMs = 60_000;
  log.info({}, 'later');
  expect(lines.slice(4)).toEqual(['997 lines about mallory were left out of the log', 'later']);
});

test('a bucket gives its burst, then its rate, and a loan is paid back in time', () => {
  let nowMs = 0;
  const bucket = new Bucket({ burst: 5, aSecond: 10 }, () => nowMs);
  expect(Array.from({ length: 7 }, () => bucket.take())).toEqual([true, true, true, true, true, false, false]);
  nowMs = 200;
  expect([bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, false]);
  expect([bucket.borrow(), bucket.borrow()]).toEqual([100, 200]);
  nowMs = 1_000_000;
  expect(Array.from({ length: 6 }, () => bucket.take()).filter(Boolean)).toHaveLength(5);
});
