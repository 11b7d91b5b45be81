// The weight of each site in an average: the samples that it claims, within bounds, or the number
// that the job gives it. The one place that decides on it.
import type { Weights } from '../job/weights.js';

/** The number of samples that a site says its result, or its evaluation, is of. */
export interface Claim {
  readonly site: string;
  /** Above 0; the site's own word. */
  readonly samples: number;
}

/** The number that a site counts with. */
export interface Weight {
  readonly site: string;
  /** Above 0 and finite, and so is the sum over all sites; ratios alone matter. */
  readonly weight: number;
  /** The claim, where the site counts for less. */
  readonly claimed?: number;
}

/** The largest share of one result of two, where neither is in a majority to be measured by. */
const SHARE_OF_TWO = 0.8;
/** The number of results from which on one is compared with the others. */
const LEAST_COMPARED = 3;

/**
 * The weight of each claim, in the order of the claims, which has no effect on the weights. With
 * `samples` a weight is the claim itself, to the bit, unless that is above one of the bounds of
 * `docs/workflows.md`; claims count for nothing with the others.
 */
export function weightsOf(claims: readonly Claim[], weights: Weights): Weight[] {
  if (weights.type === 'equal') return claims.map(({ site }) => ({ site, weight: 1 }));
  if (weights.type === 'sites') return claims.map(({ site }) => ({ site, weight: weights.sites[site] as number }));
  const bound = boundOf(
    claims.map(({ samples }) => samples),
    weights,
  );
  return claims.map(({ site, samples }) => (samples > bound ? { site, weight: bound, claimed: samples } : { site, weight: samples }));
}

/** The most that a claim counts for. */
function boundOf(samples: readonly number[], { share, times }: Extract<Weights, { type: 'samples' }>): number {
  const count = samples.length;
  if (count < 2) return Number.POSITIVE_INFINITY;
  const falling = [...samples].sort((a, b) => b - a);
  // Of an even number the lower of the two in the middle: half of the sites do not decide alone.
  const median = falling[Math.floor(count / 2)] as number;
  const most = count < LEAST_COMPARED ? Number.POSITIVE_INFINITY : times * median;
  return Math.min(
    most,
    shareBound(
      falling.map((claim) => Math.min(claim, most)),
      count < LEAST_COMPARED ? Math.max(share, SHARE_OF_TWO) : share,
    ),
  );
}

/**
 * The largest number to which the claims, in falling order, can be cut so that none has more than
 * the share of their sum. The smallest claim where no other number does it: then all count alike.
 */
function shareBound(falling: readonly number[], share: number): number {
  // Sums begin at the smallest claim: beside a huge one the others would be rounded away.
  const rests = falling.slice();
  for (let i = rests.length - 2; i >= 0; i--) rests[i] = (rests[i] as number) + (rests[i + 1] as number);
  let bound = Number.POSITIVE_INFINITY;
  for (const [cut, rest] of rests.entries()) {
    // With `cut` claims at the bound: bound = share × (cut × bound + rest).
    const left = 1 - cut * share;
    if (left <= 0) break;
    const most = (share * rest) / left;
    if (cut > 0) bound = most;
    if ((falling[cut] as number) <= most) return bound;
  }
  return falling.at(-1) as number;
}
