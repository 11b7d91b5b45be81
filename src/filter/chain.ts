// Filters as data: what a job says of the four points, and the chains that it becomes.
import { z } from 'zod';
import { delta, undelta } from './delta.js';
import { FILTER_POINTS, type Filter, type FilterPoint } from './filter.js';
import { encodingByPolicy, isLossy, type Policy, policySchema } from './policy.js';
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
  /** Short for quantize and dequantize, mirrored, at all four points. */
  readonly quantize: Policy;
  /** Messages are updates, both ways; by default where quantizing loses anything, since an update's error is far smaller than a model's. */
  readonly delta?: boolean;
  /** Further filters: before the short ones where a message leaves, after them where it is accepted. */
  readonly filters?: Partial<Record<FilterPoint, readonly FilterSpec[]>>;
}

/** The four chains, as data: own filters first on the way out, last on the way in. */
export function filterPlan(settings: FilterSettings): Record<FilterPoint, readonly FilterSpec[]> {
  const own = (point: FilterPoint): readonly FilterSpec[] => settings.filters?.[point] ?? [];
  const lossy = isLossy(settings.quantize);
  const coded: FilterSpec[] = lossy ? [{ type: 'quantize', codec: settings.quantize }] : [];
  const decoded: FilterSpec[] = lossy ? [{ type: 'dequantize' }] : [];
  return {
    'task-out': [...own('task-out'), ...(broadcastsDelta(settings) ? [{ type: 'delta' } as const] : []), ...coded],
    'task-in': [...decoded, ...(broadcastsDelta(settings) ? [{ type: 'undelta' } as const] : []), ...own('task-in')],
    'result-out': [...own('result-out'), ...(sendsDelta(settings) ? [{ type: 'delta' } as const] : []), ...coded],
    'result-in': [...decoded, ...(sendsDelta(settings) ? [{ type: 'undelta' } as const] : []), ...own('result-in')],
  };
}

/**
 * Whether broadcasts are differences to what the sites hold, from the second on: their error is that of an update, not that of a model, and
 * it is part of the next difference. Filters of the job's own on the way to the sites keep broadcasts whole.
 */
export function broadcastsDelta({ quantize, delta, filters }: FilterSettings): boolean {
  const own = [...(filters?.['task-out'] ?? []), ...(filters?.['task-in'] ?? [])];
  return isLossy(quantize) && delta !== false && own.length === 0;
}

/** Whether results are differences to what the sites received. */
export function sendsDelta({ quantize, delta }: FilterSettings): boolean {
  return delta ?? isLossy(quantize);
}

/** A chain up to its first filter that codes, and from there on. */
export function splitAtLoss(specs: readonly FilterSpec[]): { beforeLoss: readonly FilterSpec[]; lossy: readonly FilterSpec[] } {
  const first = specs.findIndex(({ type }) => type === 'quantize');
  return first < 0 ? { beforeLoss: specs, lossy: [] } : { beforeLoss: specs.slice(0, first), lossy: specs.slice(first) };
}

/** Whether a site adds what the coding of its last update lost to the next (error feedback): where it sends updates that are coded. */
export function feedsBack({ quantize, delta }: FilterSettings): boolean {
  return isLossy(quantize) && delta !== false;
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
