// Results whose sites have taken different numbers of steps, made comparable as FedNova does it
// (Wang et al. 2020).
import { FedStreamError } from '../core/errors.js';
import { type Adjust, having } from './aggregate/adjust.js';
import { weightsIn } from './sample.js';
import { scaledUpdate } from './scaled-update.js';
import { type StepFactor, stepFactors } from './step-factors.js';

/** Options of `normalized`. */
export interface NormalizedOptions {
  /** The momentum of the sites' own gradient descent, if it begins anew in each round; 0 without. */
  readonly momentum?: number;
}

/**
 * Scales each update by its site's number of steps (`stepFactors`). Results are left as they are, to
 * the bit, where all sites took the same number. One that names no steps is left out, with a warning;
 * throws `quorum` where none does.
 */
export function normalized({ momentum = 0 }: NormalizedOptions = {}): Adjust {
  return (results, previous, federation) => {
    const { job, codecs, log, round } = federation;
    const why = 'it does not say how many steps it is of, and updates are weighted by that';
    const stepped = having(results, ({ figures }) => figures?.steps || undefined, why, federation);
    if (stepped.length === 0) throw new FedStreamError('quorum', `no result of round ${round} says how many steps it is of`);
    const claims = stepped.map(({ result: { site, samples, norm }, figure }) => ({ site, weight: samples, steps: figure, norm }));
    const factors = stepFactors(claims, momentum, weightsIn(job, federation.sample()));
    const whole = stepped.map(({ result }) => result);
    if (factors.every(({ factor }) => factor === 1)) return whole;
    for (const { site, isCut } of factors)
      if (isCut) log.warn({ round, site }, 'its update is cut: for so few steps it is longer than all others');
    log.info({ round, factors: Object.fromEntries(factors.map(({ site, factor }) => [site, factor])) }, 'updates are weighted by steps');
    return whole.map((result, i) => scaledUpdate(result, (factors[i] as StepFactor).factor, previous, codecs));
  };
}
