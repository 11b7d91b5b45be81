// Server momentum (FedAvgM, Hsu et al. 2019): the mean update serves as a gradient for a step with
// momentum.
import { z } from 'zod';
import { row } from '../../core/row.js';
import { sumModel } from '../../exchange/reduce.js';
import { tensorsOf } from '../../tensor/select-tensors.js';
import type { Aggregator } from './aggregator.js';
import { mean, meanUpdate, resultMean } from './mean.js';
import { overlaid } from './overlay.js';

/** The name of the state that is kept from round to round. */
const VELOCITY = 'velocity';

/** Options of `momentum`. */
export interface MomentumOptions {
  /** The share of the last velocity that stays, 0 to 1 (beta). */
  readonly momentum: number;
  /** The server's learning rate, above 0. */
  readonly rate: number;
}

/**
 * `velocity = momentum × velocity + mean update; model += rate × velocity`, in float32. With
 * momentum 0 and rate 1 it equals `mean`, to the bit.
 */
export function momentum({ momentum: beta, rate }: MomentumOptions): Aggregator {
  return async (input) => {
    if (beta === 0 && rate === 1) return mean(input);
    const { previous, state, codecs, keep } = input;
    const update = { model: meanUpdate(input), weight: 1 };
    const before = state[VELOCITY] ? [{ model: state[VELOCITY], weight: beta }] : [];
    const velocity = await keep(VELOCITY, sumModel({ addends: [update, ...before], codecs, what: 'the velocity' }));
    const base = tensorsOf(previous, velocity.manifest);
    const moved = sumModel({ addends: [{ model: velocity, weight: rate }], base, codecs, what: 'the next model' });
    return overlaid(overlaid(previous, resultMean(input)), moved);
  };
}

/** The row `momentum`, with the options `momentum` and `rate`. */
export const momentumRow = row(
  'momentum',
  z.strictObject({ momentum: z.number().min(0).lt(1).default(0.9), rate: z.number().positive().default(1) }),
  momentum,
);
