// A learning rate at the server: FedAvg with steps of another length (Reddi et al. 2021).
import { z } from 'zod';
import { row } from '../../core/row.js';
import { accelerated } from './accelerated.js';
import type { Aggregator } from './aggregator.js';
import { type RateOptions, rateFields } from './rate-schedule.js';

/** `model += rate × mean update`, in float32. At rate 1 it equals `mean`, to the bit. */
export function sgd(options: RateOptions): Aggregator {
  return accelerated('momentum', { ...options, momentum: 0 });
}

/** The row `sgd`, with the options of the rate. */
export const sgdRow = row('sgd', z.strictObject(rateFields(1)), sgd);
