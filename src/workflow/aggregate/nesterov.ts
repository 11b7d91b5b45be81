// Nesterov momentum at the server, the outer optimizer of DiLoCo (Douillard et al. 2023), in the
// form of torch's SGD (Sutskever et al. 2013).
import { z } from 'zod';
import { row } from '../../core/row.js';
import { accelerated, momentumField } from './accelerated.js';
import type { Aggregator } from './aggregator.js';
import type { MomentumOptions } from './momentum.js';
import { rateFields } from './rate-schedule.js';

/**
 * `velocity = momentum × velocity + mean update; model += rate × (mean update + momentum ×
 * velocity)`, in float32. With momentum 0 and rate 1 it equals `mean`, to the bit.
 */
export function nesterov(options: MomentumOptions): Aggregator {
  return accelerated('nesterov', options);
}

/** The row `nesterov`, with the option `momentum` and those of the rate. */
export const nesterovRow = row('nesterov', z.strictObject({ momentum: momentumField, ...rateFields(0.7) }), nesterov);
