// FedYogi (Reddi et al. 2021, after Zaheer et al. 2018): the second moment changes by no more than a
// share of the square of the update, so that it does not fall at once where updates become sparse.
import { z } from 'zod';
import { row } from '../../core/row.js';
import { adaptive, adaptiveFields, beta2Field, type DecayingOptions } from './adaptive.js';
import type { Aggregator } from './aggregator.js';

/** Adaptive steps with `v = v − (1 − beta2) × update² × sign(v − update²)`. */
export function yogi(options: DecayingOptions): Aggregator {
  return adaptive('yogi', options);
}

/** The row `yogi`, with the options `beta1`, `beta2`, `tau` and those of the rate. */
export const yogiRow = row('yogi', z.strictObject({ ...adaptiveFields(0.9), beta2: beta2Field }), yogi);
