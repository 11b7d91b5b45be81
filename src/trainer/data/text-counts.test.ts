// Statistics of texts: right counts, and no bin of fewer samples than the least, not even by the
// difference to the whole.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BUDGETS } from '../../core/budgets.js';
import type { Example } from '../example.js';
import { statisticsSchema } from '../statistics.js';
import { TextCounts } from './text-counts.js';

interface Text {
  readonly prompt: string;
  readonly answer: string;
  readonly category?: string;
}

function counted(texts: readonly Text[]): TextCounts {
  const counts = new TextCounts();
  for (const text of texts) counts.add(text);
  return counts;
}

function exampleOf(tokens: readonly number[]): Example {
  return { tokens: Int32Array.from(tokens), promptTokens: 1 };
}

const WISH = { leastCount: 2, tokens: 10, categories: true };

test('counts, lengths in code points and tokens, categories, and tokens by the samples that have them', () => {
  const texts = [
    { prompt: 'ab', answer: 'c', category: 'x' },
    { prompt: '', answer: '😀é', category: 'x' },
    { prompt: 'abcd', answer: 'e', category: 'y' },
    { prompt: 'abcd', answer: 'ef', category: 'y' },
  ];
  const examples = [exampleOf([7, 7, 7, 1]), exampleOf([7, 1]), exampleOf([1, 2, 3]), exampleOf([1, 2])];
  expect(counted(texts).statistics(WISH, examples)).toEqual({
    leastCount: 2,
    samples: 4,
    characters: {
      count: 4,
      sum: 16,
      sumOfSquares: 9 + 4 + 25 + 36,
      bins: [
        { from: 2, to: 4, count: 2 },
        { from: 4, to: 8, count: 2 },
      ],
    },
    tokens: { count: 4, sum: 11, sumOfSquares: 16 + 4 + 9 + 4, bins: [{ from: 2, to: 8, count: 4 }] },
    categories: {
      bins: [
        { name: 'x', count: 2 },
        { name: 'y', count: 2 },
      ],
      other: 0,
    },
    // Seven is three times in one sample: samples count, not places.
    vocabulary: [
      { id: 1, count: 4 },
      { id: 2, count: 2 },
      { id: 7, count: 2 },
    ],
  });
});

test('of fewer samples than a bin may have nothing is told, not even their number', () => {
  const texts = Array.from({ length: 9 }, () => ({ prompt: 'a', answer: 'b', category: 'x' }));
  expect(
    counted(texts).statistics(
      { ...WISH, leastCount: 10 },
      texts.map(() => exampleOf([1])),
    ),
  ).toEqual({ leastCount: 10, samples: 0 });
});

test('a small rest is hidden among the next larger category', () => {
  const texts = ['a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'b', 'c'].map((category) => ({ prompt: '', answer: 'x', category }));
  const { categories } = counted(texts).statistics({ ...WISH, leastCount: 3 }, []);
  // Nine of ten would tell that c has one.
  expect(categories).toEqual({ bins: [{ name: 'a', count: 5 }], other: 5 });
});

test('whatever the data are: within the bounds, no small bin, and sums that agree', () => {
  const text = fc.record({
    prompt: fc.string({ maxLength: 40, unit: 'binary' }),
    answer: fc.string({ maxLength: 40, unit: 'binary' }),
    category: fc.oneof(fc.constantFrom('a', 'b', 'c', '__proto__', '\u001b[2J', ''), fc.string({ maxLength: 100, unit: 'binary' })),
  });
  const tokens = fc.array(fc.nat(20), { minLength: 1, maxLength: 12 });
  const property = fc.property(fc.array(fc.tuple(text, tokens), { maxLength: 30 }), fc.integer({ min: 1, max: 12 }), (data, leastCount) => {
    const found = counted(data.map(([one]) => one)).statistics(
      { leastCount, tokens: 500, categories: true },
      data.map(([, ids]) => exampleOf(ids)),
    );
    expect(statisticsSchema.parse(found)).toEqual(found);
    if (data.length < leastCount) {
      expect(found).toEqual({ leastCount, samples: 0 });
      return;
    }
    expect(found.samples).toBe(data.length);
    for (const lengths of [found.characters, found.tokens]) {
      if (!lengths) continue;
      for (const { count } of lengths.bins) expect(count).toBeGreaterThanOrEqual(leastCount);
      expect(lengths.bins.reduce((sum, { count }) => sum + count, 0)).toBe(lengths.count);
    }
    const { bins = [], other = 0 } = found.categories ?? {};
    for (const { count } of [...bins, ...(other > 0 ? [{ count: other }] : [])]) expect(count).toBeGreaterThanOrEqual(leastCount);
    for (const { count } of found.vocabulary ?? []) expect(count).toBeGreaterThanOrEqual(leastCount);
  });
  fc.assert(property, { seed: 11, numRuns: 100 });
});

test('names and bins are bounded, however many there are', () => {
  const counts = new TextCounts();
  for (let i = 0; i < 30_000; i++) counts.add({ prompt: '', answer: 'x', category: `category ${i % 15_000} ${'long '.repeat(100)}` });
  const { categories } = counts.statistics({ ...WISH, leastCount: 1 }, []);
  expect(categories?.bins).toHaveLength(BUDGETS.statisticsBins.limit);
  expect(statisticsSchema.shape.categories.safeParse(categories).success).toBe(true);
});
