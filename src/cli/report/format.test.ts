import { expect, test } from 'vitest';
import { formatBytes, formatCount, formatLoss, formatSeconds, formatShare } from './format.js';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.00 KiB'],
  [14.25 * 2 ** 20, '14.3 MiB'],
  [5716.26 * 2 ** 20, '5.58 GiB'],
  [2 ** 60, '1024.0 PiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0.844, '0.84 s'],
  [12.46, '12.5 s'],
  [59.96, '1 min 00 s'],
  [125, '2 min 05 s'],
  [3599.7, '1 h 00 min'],
  [11_231, '3 h 07 min'],
])('%d seconds are %s', (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test('shares, losses and counts', () => {
  expect(formatShare(0.14062)).toBe('14.1 %');
  expect(formatLoss(1.23456)).toBe('1.2346');
  expect([999, 1000, 1_234_567].map(formatCount)).toEqual(['999', '1,000', '1,234,567']);
});
