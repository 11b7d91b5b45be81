// Smoothed Weiszfeld steps in the coordinates of the points themselves (Pillutla et al. 2022,
// algorithm 2).
import type { Square } from './distances.js';

/** Options of `geometricMedian`. */
export interface GeometricMedianOptions {
  /** The most Weiszfeld steps. */
  readonly iterations: number;
  /** Steps end once one is shorter than this share of the median of the updates' norms. */
  readonly tolerance: number;
  /** The least distance that a step divides by, as a share of the median of the updates' norms. */
  readonly smoothing: number;
}

/** Divided by where all points are one, whose distances are 0. */
const LEAST = 1e-150;

/**
 * The weights of the points in their geometric median; they add up to 1. `products` are the dot
 * products of the points, `alphas` how much each distance counts. With v = sum of w × point, the
 * square of a distance is |v|² − 2 v·point + |point|². The first step is made from 0, and steps end
 * by the median of the norms: a huge point changes neither.
 */
export function weiszfeld(
  { side, values: products }: Square,
  alphas: readonly number[],
  { iterations, tolerance, smoothing }: GeometricMedianOptions,
): number[] {
  const norms = alphas.map((_, i) => Math.sqrt(products[i * side + i] as number)).sort((a, b) => a - b);
  const scale = norms[(side - 1) >>> 1] as number;
  const least = Math.max(LEAST, smoothing * scale);
  let weights = alphas.map(() => 0);
  for (let step = 0; step < iterations; step++) {
    const distances = distancesTo(products, side, weights);
    const next = normalized(alphas.map((alpha, i) => alpha / Math.max(least, distances[i] as number)));
    const moved = lengthOf(
      products,
      next.map((weight, i) => weight - (weights[i] as number)),
    );
    weights = next;
    if (moved <= tolerance * scale) break;
  }
  return weights;
}

/** The length of the sum of weight × point. */
function lengthOf(products: Float64Array, weights: readonly number[]): number {
  const along = alongPoints(products, weights);
  return Math.sqrt(
    Math.max(
      0,
      weights.reduce((sum, weight, i) => sum + weight * (along[i] as number), 0),
    ),
  );
}

/** The dot product of the sum of weight × point with each point. */
function alongPoints(products: Float64Array, weights: readonly number[]): number[] {
  return weights.map((_, i) => weights.reduce((sum, weight, j) => sum + weight * (products[i * weights.length + j] as number), 0));
}

function distancesTo(products: Float64Array, side: number, weights: readonly number[]): number[] {
  const along = alongPoints(products, weights);
  const square = weights.reduce((sum, weight, i) => sum + weight * (along[i] as number), 0);
  return along.map((product, i) => Math.sqrt(Math.max(0, square - 2 * product + (products[i * side + i] as number))));
}

function normalized(values: readonly number[]): number[] {
  const sum = values.reduce((all, one) => all + one, 0);
  return values.map((value) => value / sum);
}
