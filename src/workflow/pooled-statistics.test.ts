// Statistics of several sites together.
import { expect, test } from 'vitest';
import { pooled } from './pooled-statistics.js';

const lengths = (bins: [number, number, number][]) => ({
  count: bins.reduce((sum, [, , count]) => sum + count, 0),
  sum: 100,
  sumOfSquares: 1000,
  bins: bins.map(([from, to, count]) => ({ from, to, count })),
});

test('counts are added over ranges that all sites can tell apart', () => {
  const a = {
    leastCount: 10,
    samples: 60,
    characters: lengths([
      [4, 8, 20],
      [8, 16, 40],
    ]),
    categories: { bins: [{ name: 'x', count: 40 }], other: 20 },
    vocabulary: [{ id: 3, count: 30 }],
  };
  const b = {
    leastCount: 20,
    samples: 50,
    characters: lengths([
      [4, 16, 20],
      [16, 64, 30],
    ]),
    categories: {
      bins: [
        { name: 'y', count: 30 },
        { name: 'x', count: 20 },
      ],
      other: 0,
    },
    vocabulary: [
      { id: 3, count: 25 },
      { id: 1, count: 20 },
    ],
  };
  expect(pooled([a, b, { leastCount: 10, samples: 0 }])).toEqual({
    leastCount: 10,
    samples: 110,
    characters: {
      count: 110,
      sum: 200,
      sumOfSquares: 2000,
      bins: [
        { from: 4, to: 16, count: 80 },
        { from: 16, to: 64, count: 30 },
      ],
    },
    categories: {
      bins: [
        { name: 'x', count: 60 },
        { name: 'y', count: 30 },
      ],
      other: 20,
    },
    vocabulary: [
      { id: 3, count: 55 },
      { id: 1, count: 20 },
    ],
  });
});

test('of nothing there is nothing', () => {
  expect(pooled([])).toBeUndefined();
  expect(pooled([{ leastCount: 10, samples: 0 }])).toBeUndefined();
});
