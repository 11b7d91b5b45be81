// The best adapter of a rank, compared with the dense mean of the products and with what cannot be
// beaten.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { randomStream } from '../../core/random.js';
import { type Columns, column, dot, timesTransposed, zeroColumns } from '../../tensor/low-rank/columns.js';
import { svd } from '../../tensor/low-rank/jacobi.js';
import type { Product } from '../../tensor/low-rank/product.js';
import { bestRank } from './best-rank.js';
import { exactRound, stackRank } from './residual-stack.js';
import type { SiteFactors } from './site-factors.js';

const random = (rows: number, count: number, seed: number, size = 1): Columns => {
  const draw = randomStream(seed, 'factors');
  return { rows, count, data: Float64Array.from({ length: rows * count }, () => size * (draw.uniform() - 0.5)) };
};
const dense = ({ left, right }: Product): Float64Array => timesTransposed(left, right).data;
const norm = (values: Float64Array): number => Math.sqrt(dot(values, values));
const less = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - (b[i] as number));
const plus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + (b[i] as number));

/** Sites that began with the same A, as those of a run do. */
function sitesOf(ranks: readonly number[], outputs: number, inputs: number, seed: number, apart = 0.1): SiteFactors[] {
  const total = ranks.reduce((sum, _, i) => sum + i + 1, 0);
  const shared = random(inputs, Math.max(...ranks), seed);
  return ranks.map((rank, i) => {
    const own = random(inputs, rank, seed + 10 * i + 1, apart);
    const right = { rows: inputs, count: rank, data: own.data.map((value, at) => value + (shared.data[at] as number)) };
    return { weight: (i + 1) / total, left: random(outputs, rank, seed + 10 * i + 2), right };
  });
}

const meanOf = (sites: readonly SiteFactors[]): Float64Array =>
  sites.map((site) => dense(site).map((value) => value * site.weight)).reduce((a, b) => plus(a, b) as Float64Array<ArrayBuffer>);

/** The least error of any matrix of the rank: the root of the sum of the squares of the values that are left. */
function leastError(matrix: Float64Array, rows: number, rank: number): number {
  const { values } = svd({ rows, count: matrix.length / rows, data: matrix.slice() });
  return norm(values.slice(rank));
}

const shapes = fc.record({
  ranks: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
  outputs: fc.integer({ min: 1, max: 24 }),
  inputs: fc.integer({ min: 7, max: 24 }),
  seed: fc.integer({ min: 0, max: 1e6 }),
  directions: fc.constantFrom('mean', 'principal'),
});

test('nothing of the rank is nearer to the mean of the products, and what is cut off is the rest', () => {
  fc.assert(
    fc.property(shapes, ({ ranks, outputs, inputs, seed, directions }) => {
      const sites = sitesOf(ranks, outputs, inputs, seed);
      const rank = Math.max(...ranks);
      const mean = meanOf(sites);
      const size = norm(mean);
      const found = bestRank(sites, { rank, kept: 99, spare: zeroColumns(inputs, rank), directions });
      expect(Math.abs(norm(less(mean, dense(found.factors))) - leastError(mean, outputs, rank))).toBeLessThan(1e-9 * size);
      expect(norm(less(mean, plus(dense(found.factors), dense(found.cut))))).toBeLessThan(1e-9 * size);
    }),
    { seed: 17, numRuns: 150 },
  );
});

test('what was cut off is added to the next mean', () => {
  const sites = sitesOf([4, 4, 4], 20, 16, 3);
  const spare = zeroColumns(16, 4);
  const first = bestRank(sites, { rank: 4, kept: 8, spare, directions: 'mean' });
  const second = bestRank(sites, { rank: 4, kept: 8, spare, directions: 'mean', error: first.cut });
  const wanted = plus(meanOf(sites), dense(first.cut));
  expect(norm(less(wanted, dense(second.factors)))).toBeCloseTo(leastError(wanted, 20, 4), 10);
  expect(second.cut.left.count).toBe(8);
});

test('of one site it is that site’s own factors', () => {
  const [site] = sitesOf([4], 20, 16, 5) as [SiteFactors];
  const { factors } = bestRank([site], { rank: 4, kept: 0, spare: zeroColumns(16, 4), directions: 'mean' });
  expect(norm(less(factors.right.data, site.right.data))).toBeLessThan(1e-10);
  expect(norm(less(factors.left.data, site.left.data))).toBeLessThan(1e-10);
});

test('of sites that differ in rank the largest directions come first, in the size of A', () => {
  const sites = sitesOf([2, 4, 8], 30, 20, 7);
  const { factors } = bestRank(sites, { rank: 8, kept: 0, spare: zeroColumns(20, 8), directions: 'principal' });
  const sizes = Array.from({ length: 8 }, (_, j) => norm(column(factors.left, j)));
  expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
  const rows = Array.from({ length: 8 }, (_, j) => norm(column(factors.right, j)));
  for (const row of rows) expect(row).toBeCloseTo(rows[0] as number, 10);
  const two = {
    left: { ...factors.left, count: 2, data: factors.left.data.slice(0, 60) },
    right: { ...factors.right, count: 2, data: factors.right.data.slice(0, 40) },
  };
  expect(norm(less(meanOf(sites), dense(two)))).toBeCloseTo(leastError(meanOf(sites), 30, 2), 10);
});

test('factors that nobody has trained keep directions to train', () => {
  const right = random(16, 4, 11);
  const sites = [1, 2].map(() => ({ weight: 0.5, left: zeroColumns(20, 4), right }));
  const { factors } = bestRank(sites, { rank: 4, kept: 4, spare: right, directions: 'principal' });
  expect(norm(factors.left.data)).toBe(0);
  for (let j = 0; j < 4; j++) expect(norm(column(factors.right, j))).toBeGreaterThan(0.1);
});

test('means and stack together are the mean of the products, round after round', () => {
  fc.assert(
    fc.property(shapes, ({ ranks, outputs, inputs, seed }) => {
      const rank = ranks[0] as number;
      let stack: Product | undefined;
      let owed: Float64Array = new Float64Array(outputs * inputs);
      let before = 0;
      for (let round = 0; round < 3; round++) {
        const sites = sitesOf(
          ranks.map(() => rank),
          outputs,
          inputs,
          seed + round,
        );
        const mean = meanOf(sites);
        before = stackRank(before, sites.length, { rank, outputs, inputs });
        const found = exactRound(sites, before, stack);
        owed = plus(owed, less(mean, dense(found.factors)));
        stack = found.stack;
        expect(stack.left.count).toBeLessThanOrEqual(Math.min(outputs, inputs));
        // The means are rounded to float32; the residual is of the rounded ones but for that.
        expect(norm(less(owed, dense(stack)))).toBeLessThan(1e-6 * norm(mean));
      }
    }),
    { seed: 17, numRuns: 100 },
  );
});

test('sites that have trained the same leave nothing over', () => {
  const [site] = sitesOf([4], 20, 16, 5, 0) as [SiteFactors];
  const rounded = {
    left: { ...site.left, data: site.left.data.map(Math.fround) },
    right: { ...site.right, data: site.right.data.map(Math.fround) },
  };
  const { stack } = exactRound(
    [1, 2].map(() => ({ ...rounded, weight: 0.5 })),
    4,
  );
  expect(norm(dense(stack))).toBe(0);
});
