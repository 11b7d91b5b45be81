// FedNova's factors (Wang et al. 2020, "Tackling the objective inconsistency problem in
// heterogeneous federated optimization"): each update is divided by what the site's own number of
// steps adds up to, and their mean is made as long as an average site's update.

import { BUDGETS } from '../core/budgets.js';
import { lowerMedian } from '../core/lower-median.js';
import { BY_SAMPLES, type Weights } from '../job/weights.js';
import { weightsOf } from './weights.js';

/** One result, as its factor depends on it. */
export interface Stepped {
  readonly site: string;
  /** The weight in the average, above 0. */
  readonly weight: number;
  /** Optimizer steps, at least 1; the site's own word. */
  readonly steps: number;
  /** The L2 norm of the update, as the server has measured it. */
  readonly norm?: number | undefined;
}

/** The factor of a result's update; the weighted mean of the scaled updates is FedNova's. */
export interface StepFactor {
  readonly site: string;
  readonly factor: number;
  /** True where the update was cut, since it would have outweighed all others together. */
  readonly isCut: boolean;
}

/** Many steps make all updates longer, but count there for no more than so many times the median. */
const MOST = BUDGETS.manySteps.limit;

/** The share that a result may have where the weights of the job set none. */
const SHARE = 0.5;

/**
 * The length of a site's accumulated steps, ‖a‖₁ of the paper: the number of steps for plain
 * gradient descent; with a momentum `rho` that begins anew in each round,
 * `(τ − ρ(1 − ρ^τ) / (1 − ρ)) / (1 − ρ)`.
 */
export function accumulated(steps: number, rho: number): number {
  if (rho === 0) return steps;
  return (steps - (rho * (1 - rho ** steps)) / (1 - rho)) / (1 - rho);
}

/**
 * The factor of each update, in the order of the results, which has no effect on the factors:
 * `τ_eff / ‖aᵢ‖₁`, with `τ_eff = Σ pᵢ ‖aᵢ‖₁`. All are exactly 1 where all sites say the same number.
 *
 * Steps are a claim, and bounded by what the server has measured. A site that claims 1 step for a
 * long update would own the average, so no scaled update is longer than all others together (times
 * their weights; of two, than four times the other), or than the share that its weight alone gives
 * it. One that claims a billion would make everybody's update longer, so it counts in τ_eff for four
 * times the median at most; its own update shrinks all the same.
 */
export function stepFactors(results: readonly Stepped[], rho = 0, weights: Weights = BY_SAMPLES): StepFactor[] {
  const first = results[0]?.steps;
  if (results.every(({ steps }) => steps === first)) return results.map(({ site }) => ({ site, factor: 1, isCut: false }));
  const total = results.reduce((sum, { weight }) => sum + weight, 0);
  const parts = results.map(({ site, weight, steps, norm }) => ({ site, share: weight / total, length: accumulated(steps, rho), norm }));
  const median = lowerMedian(parts.map(({ length }) => length)) as number;
  const effective = parts.reduce((sum, { share, length }) => sum + share * Math.min(length, MOST * median), 0);
  const measured = parts.every(({ norm }) => norm !== undefined);
  const claims = parts.map(({ site, share, length, norm }) => ({ site, samples: (share / length) * (measured ? (norm as number) : 1) }));
  const most = Math.max(weights.type === 'samples' ? weights.share : SHARE, ...parts.map(({ share }) => share));
  // An update of nothing is no measure for the others.
  const measures = claims.filter(({ samples }) => samples > 0);
  const bounded = weightsOf(measures, { type: 'samples', share: Math.min(1, most), times: Number.MAX_SAFE_INTEGER });
  const cut = new Map(bounded.flatMap(({ site, weight, claimed }) => (claimed === undefined ? [] : [[site, weight / claimed] as const])));
  return parts.map(({ site, length }) => ({ site, factor: (effective / length) * (cut.get(site) ?? 1), isCut: cut.has(site) }));
}
