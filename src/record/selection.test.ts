import { expect, test } from 'vitest';
import { bestRound, shouldStop } from './selection.js';

const rounds = (...losses: number[]) =>
  losses.map((loss, index) => ({ round: index + 1, metrics: { loss, exactMatch: 1 - loss / 10, samples: 1 } }));

test('the best round by loss or by exact match, the earlier of equals', () => {
  expect(bestRound(rounds(3, 1, 2, 1), { selection: 'loss' })?.round).toBe(2);
  expect(bestRound(rounds(3, 2, 1), { selection: 'exactMatch' })?.round).toBe(3);
  expect(bestRound([], { selection: 'loss' })).toBeUndefined();
});

test('early stop waits for its patience, and a gain below minDelta is none', () => {
  const settings = { selection: 'loss', earlyStop: { patience: 2, minDelta: 0.1 } } as const;
  expect(shouldStop(rounds(3, 2, 1), settings)).toBe(false);
  expect(shouldStop(rounds(3, 2, 1.95, 1.96), settings)).toBe(true);
  expect(shouldStop(rounds(3, 2), settings)).toBe(false);
  expect(shouldStop(rounds(3, 3, 3, 3), { selection: 'loss' })).toBe(false);
});
