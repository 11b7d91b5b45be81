// Server momentum (FedAvgM, Hsu et al. 2019): what the sites' mean changes is a gradient, and the server takes its steps with momentum.
import { z } from 'zod';
import { row } from '../../core/row.js';
import { sumModel } from '../../exchange/reduce.js';
import type { Aggregator } from './aggregator.js';
import { mean, meanUpdate, resultMean } from './mean.js';
import { overlaid, tensorsOf } from './overlay.js';

/** The name of what is kept from round to round. */
const VELOCITY = 'velocity';

export interface MomentumOptions {
  /** How much of the last velocity stays, in 0..1 (beta). */
  readonly momentum: number;
  /** The server's learning rate, above 0. */
  readonly rate: number;
}

/** `velocity = momentum × velocity + mean update; model += rate × velocity`, in float32. Without momentum and at rate 1 it is `mean`, to the bit. */
export function momentum({ momentum: beta, rate }: MomentumOptions): Aggregator {
  return async (input) => {
    if (beta === 0 && rate === 1) return mean(input);
    const { previous, state, codecs, keep } = input;
    const update = { model: meanUpdate(input), weight: 1 };
    const before = state[VELOCITY] ? [{ model: state[VELOCITY], weight: beta }] : [];
    const velocity = await keep(VELOCITY, sumModel({ addends: [update, ...before], codecs, what: 'the velocity' }));
    const base = tensorsOf(previous, velocity);
    const moved = sumModel({ addends: [{ model: velocity, weight: rate }], base, codecs, what: 'the next model' });
    return overlaid(overlaid(previous, resultMean(input)), moved);
  };
}

export const momentumRow = row(
  'momentum',
  z.strictObject({ momentum: z.number().min(0).lt(1).default(0.9), rate: z.number().positive().default(1) }),
  momentum,
);
