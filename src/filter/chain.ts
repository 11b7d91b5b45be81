// Filters as data: what a job says of the four points, and the chains that it becomes.
import { z } from 'zod';
import type { Coding } from './coding.js';
import { delta, undelta } from './delta.js';
import { FILTER_POINTS, type Filter, type FilterPoint } from './filter.js';
import { encodingByPolicy, isLossy, lossyBits, policySchema } from './policy.js';
import { dequantize, quantize } from './quantize.js';
import { exclude, include } from './select.js';

const patterns = z.array(z.string().min(1)).min(1);

/** One filter of a job. */
export const filterSpecSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('exclude'), patterns }),
  z.strictObject({ type: z.literal('include'), patterns }),
  z.strictObject({ type: z.literal('delta') }),
  z.strictObject({ type: z.literal('undelta') }),
  z.strictObject({ type: z.literal('quantize'), codec: policySchema }),
  z.strictObject({ type: z.literal('dequantize') }),
]);

export type FilterSpec = z.output<typeof filterSpecSchema>;

export const filterSpecsSchema = z.partialRecord(z.enum(FILTER_POINTS), z.array(filterSpecSchema));

export interface FilterSettings {
  /** How messages are coded. */
  readonly quantize: Coding;
  /** `false`: whole weights travel, both ways, whatever the coding; `true`: results are updates even where their coding loses nothing. */
  readonly delta?: boolean;
  /** Further filters of the job's own: before the coding where a message leaves, after it where it is accepted. */
  readonly filters?: Partial<Record<FilterPoint, readonly FilterSpec[]>>;
}

/** The job's own filters at a point. */
export function ownFilters({ filters }: FilterSettings, point: FilterPoint): Filter[] {
  return filterChain(filters?.[point] ?? []);
}

/** Whether whole weights are coded, as in the paper. */
export function codesWhole({ quantize, delta }: FilterSettings): boolean {
  return quantize.whole === true || delta === false;
}

/**
 * Whether broadcasts are what the sites lack of the server's model: their error is that of an update, not that of a model, and it is part of the next
 * one. Filters of the job's own on the way to the sites keep broadcasts whole.
 */
export function broadcastsUpdates(settings: FilterSettings): boolean {
  const own = ownFilters(settings, 'task-out').length + ownFilters(settings, 'task-in').length;
  return isLossy(settings.quantize.down) && !codesWhole(settings) && own === 0;
}

/** Whether results are what was trained less what was given. */
export function sendsUpdates(settings: FilterSettings): boolean {
  if (codesWhole(settings)) return false;
  return settings.delta ?? isLossy(settings.quantize.up);
}

/** Bits a value of the roughest code that whole weights are sent in; undefined where updates are sent, or nothing is lost. */
export function wholeBits(settings: FilterSettings): number | undefined {
  const { down, up } = settings.quantize;
  const whole = [...(broadcastsUpdates(settings) ? [] : [down]), ...(sendsUpdates(settings) ? [] : [up])].filter(isLossy);
  return whole.length === 0 ? undefined : Math.min(...whole.map(lossyBits));
}

/** The filters of a chain. */
export function filterChain(specs: readonly FilterSpec[]): Filter[] {
  return specs.map(toFilter);
}

function toFilter(spec: FilterSpec): Filter {
  switch (spec.type) {
    case 'exclude':
      return exclude(spec.patterns);
    case 'include':
      return include(spec.patterns);
    case 'delta':
      return delta();
    case 'undelta':
      return undelta();
    case 'quantize':
      return quantize(encodingByPolicy(spec.codec));
    case 'dequantize':
      return dequantize();
  }
}
