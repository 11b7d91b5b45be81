// The best adapter of a given rank for the mean of the sites' products (Bai et al. 2024, FlexLoRA),
// with what is cut off kept for the next round.
import { type Columns, column, dot, timesTransposed, zeroColumns } from '../../tensor/low-rank/columns.js';
import { svd } from '../../tensor/low-rank/jacobi.js';
import { balanced, joined, type Principal, type Product, principal, terms, turned } from '../../tensor/low-rank/product.js';
import type { SiteFactors } from './site-factors.js';

/** The next factors of a module, and what they lack of the mean. */
export interface BestRank {
  readonly factors: Product;
  /** `kept` terms, the largest ones, zeros where there are fewer; added to the mean of the next round. */
  readonly cut: Product;
}

/** Options of `bestRank`. */
export interface BestRankOptions {
  readonly rank: number;
  /** The most terms that are kept of what is cut off. */
  readonly kept: number;
  /** What the last round cut off. */
  readonly error?: Product | undefined;
  /** Rows that the factors get where the sites' own span too few directions, [inputs × rank]. */
  readonly spare: Columns;
  /**
   * `mean`: directions are turned to lie as in the mean of A, so that a site's optimizer state still
   * fits and little changes. `principal`: the largest direction first, for sites that take a part.
   */
  readonly directions: 'mean' | 'principal';
}

/** A turn is taken as it is up to this ratio of its singular values; above, its rotation alone. */
const MOST_SKEWED = 16;

/**
 * The best approximation, of a rank, of `Σ weight × B A + error` (Eckart and Young 1936). A keeps
 * the size of the mean A. Where sites differ in rank the directions are those of the SVD, the
 * largest first, and each points to where the mean A does.
 */
export function bestRank(sites: readonly SiteFactors[], options: BestRankOptions): BestRank {
  const { rank, kept, error, spare, directions } = options;
  const { rows: outputs } = (sites[0] as SiteFactors).left;
  const { rows: inputs } = spare;
  const meanA = meanOfA(sites, inputs, rank);
  const parts: Product[] = sites.map(({ left, right, weight }) => ({ left: scaled(left, weight), right }));
  if (error) parts.push(error);
  const count = parts.reduce((sum, { left }) => sum + left.count, 0);
  if (count < rank) parts.push({ left: zeroColumns(outputs, rank), right: spare });
  const whole = principal(joined(parts, outputs, inputs), rank + kept);
  const first = { ...terms(whole, 0, rank), values: whole.values.subarray(0, rank) };
  const factors = directions === 'mean' ? turnedToMean(first, meanA) : towards(first, meanA);
  const rest: Principal = { ...terms(whole, rank, rank + kept), values: whole.values.subarray(rank) };
  return { factors, cut: balanced(rest) };
}

/** Turns the factors so that A is as near to the mean A as it can be, without a change of the product. */
function turnedToMean(first: Principal, mean: Columns): Product {
  const { rank, size } = { rank: first.right.count, size: sizeOf(mean) };
  // G = mean A × V [rank × rank]: the coordinates of the mean A in the directions V.
  const { scaled: ps, values, right: w } = svd(gram(mean, first.right));
  const largest = values[0] ?? 0;
  const smallest = values[rank - 1] ?? 0;
  if (!(largest > 0)) return sized(first, size);
  const p = zeroColumns(rank, rank);
  for (let j = 0; j < rank; j++) {
    const value = values[j] as number;
    // Directions that the mean A lacks cannot be turned to it; they stay as they are.
    if (value <= largest * Number.EPSILON * rank) return towards(first, mean);
    for (const [i, x] of column(ps, j).entries()) p.data[j * rank + i] = x / value;
  }
  const skewed = smallest * MOST_SKEWED < largest;
  const stretch = (by: (value: number) => number): Columns => {
    const all = zeroColumns(rank, rank);
    for (let j = 0; j < rank; j++) for (const [i, x] of column(p, j).entries()) all.data[j * rank + i] = x * by(values[j] as number);
    return all;
  };
  // G = P D Wᵀ, and its inverse W D⁻¹ Pᵀ; of a skewed one the rotation P Wᵀ, in the size of A.
  const to = skewed ? () => size : (value: number) => value;
  const turn = timesTransposed(stretch(to), w);
  const inverse = timesTransposed(
    w,
    stretch((value) => 1 / to(value)),
  );
  return turned(first, turn, inverse);
}

/** The directions of the SVD in the size of A, each pointing to where the mean A does. */
function towards({ left, right }: Product, mean: Columns): Product {
  const found = sized({ left, right }, sizeOf(mean));
  for (let j = 0; j < found.right.count; j++) {
    if (leaning(column(found.right, j), mean, j) >= 0) continue;
    for (const factor of [column(found.left, j), column(found.right, j)])
      for (let i = 0; i < factor.length; i++) factor[i] = -(factor[i] as number);
  }
  return found;
}

/** Positive where a direction agrees with the row of the mean A in its place; by its largest value where that is 0. */
function leaning(direction: Float64Array, mean: Columns, j: number): number {
  const agreement = j < mean.count ? dot(direction, column(mean, j)) : 0;
  if (agreement !== 0) return agreement;
  let largest = 0;
  for (const value of direction) if (Math.abs(value) > Math.abs(largest)) largest = value;
  return largest;
}

function sized({ left, right }: Product, size: number): Product {
  return { left: scaled(left, 1 / size), right: scaled(right, size) };
}

/** The length of a row of A in the mean; 1 for an A of zeros. */
function sizeOf(mean: Columns): number {
  const size = Math.sqrt(dot(mean.data, mean.data) / Math.max(1, mean.count));
  return size > 0 ? size : 1;
}

/** `Aᵀ` as columns times `V`: [a.count × v.count] of inner products. */
function gram(a: Columns, v: Columns): Columns {
  const products = zeroColumns(a.count, v.count);
  for (let j = 0; j < v.count; j++) for (let i = 0; i < a.count; i++) products.data[j * a.count + i] = dot(column(a, i), column(v, j));
  return products;
}

/** The weighted mean of A over the sites; rows that a site of a smaller rank lacks count as zeros. */
function meanOfA(sites: readonly SiteFactors[], inputs: number, rank: number): Columns {
  const mean = zeroColumns(inputs, rank);
  for (const { right, weight } of sites)
    for (const [i, value] of right.data.entries()) mean.data[i] = (mean.data[i] as number) + weight * value;
  return mean;
}

function scaled(all: Columns, by: number): Columns {
  return { ...all, data: all.data.map((value) => value * by) };
}
