// Server momentum (FedAvgM, Hsu et al. 2019): the mean update serves as a gradient for a step with
// momentum.
import { z } from 'zod';
import { row } from '../../core/row.js';
import { accelerated, momentumField } from './accelerated.js';
import type { Aggregator } from './aggregator.js';
import { type RateOptions, rateFields } from './rate-schedule.js';

/** Options of `momentum`. */
export interface MomentumOptions extends RateOptions {
  /** The share of the last velocity that stays, 0 to 1 (beta). */
  readonly momentum: number;
}

/**
 * `velocity = momentum × velocity + mean update; model += rate × velocity`, in float32. With
 * momentum 0 and rate 1 it equals `mean`, to the bit.
 */
export function momentum(options: MomentumOptions): Aggregator {
  return accelerated('momentum', options);
}

/** The row `momentum`, with the option `momentum` and those of the rate. */
export const momentumRow = row('momentum', z.strictObject({ momentum: momentumField, ...rateFields(1) }), momentum);
