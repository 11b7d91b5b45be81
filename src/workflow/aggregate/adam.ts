// FedAdam (Reddi et al. 2021): the second moment is a moving average of the squares of the updates.
import { z } from 'zod';
import { row } from '../../core/row.js';
import { adaptive, adaptiveFields, beta2Field, type DecayingOptions } from './adaptive.js';
import type { Aggregator } from './aggregator.js';

/** Adaptive steps with `v = beta2 × v + (1 − beta2) × update²`. */
export function adam(options: DecayingOptions): Aggregator {
  return adaptive('adam', options);
}

/** The row `adam`, with the options `beta1`, `beta2`, `tau` and those of the rate. */
export const adamRow = row('adam', z.strictObject({ ...adaptiveFields(0.9), beta2: beta2Field }), adam);
