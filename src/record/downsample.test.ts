import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Downsampler } from './downsample.js';

function sampled(values: readonly number[], limit: number, keep: 'mean' | 'max') {
  const sampler = new Downsampler(limit, keep);
  values.forEach((value, index) => {
    sampler.add(index + 1, value);
  });
  return sampler.series();
}

test('keeps every point while there are few', () => {
  expect(sampled([5, 4, 3], 4, 'mean')).toEqual({ x: [1, 2, 3], y: [5, 4, 3], pointsEach: 1 });
});

test('merges neighbours when it is full', () => {
  expect(sampled([1, 3, 5, 7, 10], 4, 'mean')).toEqual({ x: [1.5, 3.5, 5], y: [2, 6, 10], pointsEach: 2 });
  expect(sampled([1, 3, 7, 5, 10, 2], 4, 'max')).toEqual({ x: [1.5, 3.5, 5.5], y: [3, 7, 10], pointsEach: 2 });
});

test('any length stays within the limit, in order, and keeps the highest', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 400 }), (values) => {
      const { x, y, pointsEach } = sampled(values, 16, 'max');
      expect(x.length).toBeLessThanOrEqual(16);
      expect(x.length).toBe(Math.ceil(values.length / pointsEach));
      expect([...x].sort((a, b) => a - b)).toEqual(x);
      expect(Math.max(...y)).toBe(Math.max(...values));
    }),
  );
});
