// Optimizers at the server with a velocity, in the two forms that torch's SGD has.
import { z } from 'zod';
import type { Aggregator } from './aggregator.js';
import { optimizer } from './optimizer.js';
import { paceOf, type RateOptions } from './rate-schedule.js';

/** The schema of the option `momentum`. */
export const momentumField = z.number().min(0).lt(1).default(0.9);

/** −0 is the neutral element of addition: the first velocity is the first update, bit for bit. */
const NOTHING = -0;

/** The name under which the velocity is kept. */
const VELOCITY = { name: 'velocity', begin: NOTHING };

/** The aggregator of a form, plain SGD where `momentum` is 0. */
export function accelerated(name: 'momentum' | 'nesterov', options: RateOptions & { readonly momentum: number }): Aggregator {
  const { momentum: beta1 } = options;
  const rule = { name: beta1 === 0 ? ('sgd' as const) : name, beta1, beta2: 0, tau: 0 };
  return optimizer((input) => ({ ...rule, ...paceOf(options, input) }), { first: VELOCITY, second: VELOCITY });
}
