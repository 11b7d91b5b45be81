// FedAdagrad (Reddi et al. 2021): the second moment is the sum of the squares of all updates.
import { z } from 'zod';
import { row } from '../../core/row.js';
import { type AdaptiveOptions, adaptive, adaptiveFields } from './adaptive.js';
import type { Aggregator } from './aggregator.js';

/** Adaptive steps with `v = v + update²`. */
export function adagrad(options: AdaptiveOptions): Aggregator {
  return adaptive('adagrad', options);
}

/** The row `adagrad`, with the options `beta1`, `tau` and those of the rate. */
export const adagradRow = row('adagrad', z.strictObject(adaptiveFields(0)), adagrad);
