// The weights of q-FedAvg (Li et al. 2020, "Fair resource allocation in federated learning"): sites on
// whose data the model is worse count for more.
import { BY_SAMPLES, type Weights } from '../job/weights.js';
import { type Weight, weightsOf } from './weights.js';

/** Options of q-FedAvg. */
export interface FairOptions {
  /** How much a site's loss counts: with 0 not at all; the larger, the nearer to the worst site's alone. */
  readonly q: number;
  /**
   * The estimate `L` of the Lipschitz constant of the gradients that shortens the step, in the paper one
   * over the rate of the sites' gradient descent. Without it the step is as long as `fedAvg`'s.
   */
  readonly lipschitz?: number | undefined;
}

/** One result, as its weight depends on it. */
export interface Evaluated {
  readonly site: string;
  /** The weight in the average without regard to losses, above 0. */
  readonly weight: number;
  /** The loss of the received model on the site's data, at least 0; the site's own word. */
  readonly loss: number;
  /** The L2 norm of the update, as the server has measured it. */
  readonly norm?: number | undefined;
}

/** A weight that counts for nothing, and is not 0. */
const LEAST_WEIGHT = 1e-200;

/** What the results of a round come to. */
export interface Fair {
  /** In the order of the results, which has no effect on the weights. */
  readonly weights: readonly Weight[];
  /** The length of the step, 0 to 1 of the mean update. */
  readonly step: number;
}

/** The share that a result may have where the weights of the job set none. */
const SHARE = 0.5;
/** Losses of less count as this, so that no weight is 0; the authors' program has the same. */
const LEAST_LOSS = 1e-10;

/**
 * The weights `pₖ Fₖ^q`, and the step `Σ pₖ Fₖ^q / Σ pₖ (Fₖ^q + q Fₖ^(q−1) L ‖Δₖ‖²)`: with both the
 * update of the model is `Σ Δₖ / Σ hₖ` of the paper. A loss is a claim, so no result counts for more
 * than all others together (of two, for four times the other), or than its weight alone gives it.
 */
export function fairWeights(results: readonly Evaluated[], { q, lipschitz }: FairOptions, weights: Weights = BY_SAMPLES): Fair {
  const total = results.reduce((sum, { weight }) => sum + weight, 0);
  const largest = Math.max(...results.map(({ loss }) => loss), LEAST_LOSS);
  const parts = results.map(({ site, weight, loss, norm = 0 }) => {
    const share = weight / total;
    // Of the largest loss, so that no power is too large; it cancels out.
    const part = Math.max(loss, LEAST_LOSS) / largest;
    const samples = Math.max(share * part ** q, LEAST_WEIGHT);
    const curvature = lipschitz === undefined || q === 0 ? 0 : (share * q * part ** (q - 1) * lipschitz * norm ** 2) / largest;
    return { site, share, samples, curvature };
  });
  const most = Math.max(weights.type === 'samples' ? weights.share : SHARE, ...parts.map(({ share }) => share));
  const bounded = weightsOf(parts, { type: 'samples', share: Math.min(1, most), times: Number.MAX_SAFE_INTEGER });
  const sum = bounded.reduce((all, { weight }) => all + weight, 0);
  const bent = parts.reduce((all, { curvature }) => all + curvature, 0);
  return { weights: bounded, step: sum / (sum + bent) };
}
