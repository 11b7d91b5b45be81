// Durations: the units, the examples of the help, and what is none.
import { expect, test } from 'vitest';
import { durationText, parseDuration } from './duration.js';

test.each([
  ['90', 90_000],
  ['30s', 30_000],
  ['250ms', 250],
  ['10m', 600_000],
  ['10 min', 600_000],
  ['1.5h', 5_400_000],
  ['2d', 172_800_000],
  ['0', 0],
  ['Forever', Number.POSITIVE_INFINITY],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', 'soon', '-1', '1e3', '10 weeks', '5m30s', 's', 'constructor', '1 constructor'])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test('durations are told in the largest unit that they fill', () => {
  expect([200, 45_000, 600_000, 9_000_000, 172_800_000, Number.POSITIVE_INFINITY].map(durationText)).toEqual([
    '0.2 s',
    '45 s',
    '10 min',
    '2.5 h',
    '2 d',
    'forever',
  ]);
});
