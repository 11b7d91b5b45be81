// The options that all optimizers at the server have, and the rate of each round.
import { z } from 'zod';
import type { OptimizerRule } from '../../codec/optimizer-step.js';
import type { AggregatorInput } from './aggregator.js';

/** Options of every optimizer. */
export interface RateOptions {
  /** The server's learning rate, above 0. */
  readonly rate: number;
  /**
   * Decoupled weight decay (Loshchilov and Hutter 2019): a round takes `rate × weightDecay` of each
   * value that the results have, beside the step and not through the moments. 0 by default.
   */
  readonly weightDecay?: number;
  /** The rate over the rounds after the warm-up; `constant` by default. */
  readonly schedule?: 'constant' | 'cosine' | 'linear';
  /** Rounds over which the rate rises in equal steps to its full size; 0 by default. */
  readonly warmupRounds?: number;
}

/** The schema fields of `RateOptions`, with the default of `rate`. */
export const rateFields = (rate: number) => ({
  rate: z.number().positive().default(rate),
  weightDecay: z.number().min(0).default(0),
  schedule: z.enum(['constant', 'cosine', 'linear']).default('constant'),
  warmupRounds: z.int().min(0).default(0),
});

/**
 * The rate of a round, from 1: in the warm-up `rate × round / warmupRounds`, then falling from the
 * full rate towards 0, which would be reached in the round after the last.
 */
export function rateOf({ rate, schedule = 'constant', warmupRounds = 0 }: RateOptions, round: number, rounds: number): number {
  if (round <= warmupRounds) return (rate * round) / warmupRounds;
  if (schedule === 'constant') return rate;
  // A run that goes on beyond its rounds stays at the rate of the last one.
  const done = Math.min(round, rounds) - warmupRounds - 1;
  const progress = Math.max(0, done) / Math.max(1, rounds - warmupRounds);
  return rate * (schedule === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2);
}

/** The numbers of a round's rule that follow from the options. */
export function paceOf(
  options: RateOptions,
  { round, rounds }: Pick<AggregatorInput, 'round' | 'rounds'>,
): Pick<OptimizerRule, 'rate' | 'keep'> {
  const rate = rateOf(options, round, rounds);
  return { rate, keep: 1 - rate * (options.weightDecay ?? 0) };
}
