// What the mean of A and the mean of B lack of the mean of the products, as factors that go into a
// stack beside the base (Singhal et al. 2024, FedEx-LoRA).
import { type Columns, zeroColumns } from '../../tensor/low-rank/columns.js';
import { balanced, joined, type Product, principal, terms } from '../../tensor/low-rank/product.js';
import type { SiteFactors } from './site-factors.js';

/** The next factors of a module, and the stack of what all rounds so far have left over. */
export interface ExactRound {
  /** The means of A and B, rounded to float32 as they are kept. */
  readonly factors: Product;
  /** `rank` terms, the largest first; zeros where fewer are needed. */
  readonly stack: Product;
}

/**
 * The terms that a stack needs after a round, at most: the residual of n sites of rank r has rank
 * (n − 1) × r, and no stack more than its matrix has rows or columns.
 */
export function stackRank(
  before: number,
  sites: number,
  { rank, inputs, outputs }: { rank: number; inputs: number; outputs: number },
): number {
  return Math.min(before + (sites - 1) * rank, inputs, outputs);
}

/**
 * The means, and `stack + Σ weight × B A − mean B × mean A` written as
 * `stack + Σ weight × (B − mean B) (A − mean A)`, from which nothing cancels. The terms are those of
 * an SVD, so that a stack of a smaller rank is a shorter one.
 */
export function exactRound(sites: readonly SiteFactors[], rank: number, stack?: Product): ExactRound {
  const factors = { left: meanOf(sites, 'left'), right: meanOf(sites, 'right') };
  const { rows: outputs } = factors.left;
  const { rows: inputs } = factors.right;
  if (rank === 0) return { factors, stack: { left: zeroColumns(outputs, 0), right: zeroColumns(inputs, 0) } };
  const parts: Product[] = sites.map(({ left, right, weight }) => ({
    left: difference(left, factors.left, weight),
    right: difference(right, factors.right, 1),
  }));
  if (stack) parts.push(stack);
  const whole = principal(joined(parts, outputs, inputs), rank);
  const kept = { ...terms(whole, 0, rank), values: whole.values };
  return { factors, stack: balanced(kept) };
}

/** The weighted mean, rounded to float32: the residual is of what is kept. */
function meanOf(sites: readonly SiteFactors[], which: 'left' | 'right'): Columns {
  const { rows, count } = (sites[0] as SiteFactors)[which];
  const mean = zeroColumns(rows, count);
  for (const site of sites)
    for (const [i, value] of site[which].data.entries()) mean.data[i] = (mean.data[i] as number) + site.weight * value;
  for (const [i, value] of mean.data.entries()) mean.data[i] = Math.fround(value);
  return mean;
}

function difference({ rows, count, data }: Columns, mean: Columns, weight: number): Columns {
  return { rows, count, data: data.map((value, i) => weight * (value - (mean.data[i] as number))) };
}
