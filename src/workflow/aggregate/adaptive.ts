// The adaptive optimizers of Reddi et al. 2021, *Adaptive Federated Optimization* (algorithm 2):
// each value has a rate of its own, by a second moment of its updates.
import { z } from 'zod';
import type { Aggregator } from './aggregator.js';
import { optimizer } from './optimizer.js';
import { paceOf, type RateOptions, rateFields } from './rate-schedule.js';

/** Options of `adam`, `adagrad` and `yogi`. */
export interface AdaptiveOptions extends RateOptions {
  /** The share of the first moment that stays, from 0 up to 1. */
  readonly beta1: number;
  /** The degree of adaptivity, above 0: the second moment begins with its square. */
  readonly tau: number;
}

/** Options of `adam` and `yogi`. */
export interface DecayingOptions extends AdaptiveOptions {
  /** The share of the second moment that stays, from 0 up to 1. */
  readonly beta2: number;
}

/**
 * The smallest `tau`: its square is still a normal float32 number.
 */
const LEAST_TAU = 1e-18;

/** The schema fields of `AdaptiveOptions`, with the default of `beta1`. */
export const adaptiveFields = (beta1: number) => ({
  beta1: z.number().min(0).lt(1).default(beta1),
  tau: z.number().min(LEAST_TAU).default(1e-3),
  ...rateFields(0.01),
});

/** The schema field `beta2`. */
export const beta2Field = z.number().min(0).lt(1).default(0.99);

/**
 * `m = beta1 × m + (1 − beta1) × update`, `v` by the rule, `model += rate × m / (√v + tau)`, in
 * float32; m begins with 0 and v with tau², without correction of the bias, as in the paper.
 */
export function adaptive(name: 'adam' | 'adagrad' | 'yogi', options: AdaptiveOptions & Partial<DecayingOptions>): Aggregator {
  const { beta1, beta2 = 0, tau } = options;
  const moments = { first: { name: 'first', begin: 0 }, second: { name: 'second', begin: Math.fround(tau * tau) } };
  return optimizer((input) => ({ name, beta1, beta2, tau, ...paceOf(options, input) }), moments);
}
