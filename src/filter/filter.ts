// The filter contract: a function from one lazy state dict to another, and the properties that a
// filter declares.
import type { CodecTable } from '../codec/codec.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import { asUpdate, updateManifest } from './update.js';

/** The four points of a round at which filters are applied, as in NVFlare. */
export const FILTER_POINTS = ['task-out', 'task-in', 'result-out', 'result-in'] as const;
/** A point of a round at which filters are applied. */
export type FilterPoint = (typeof FILTER_POINTS)[number];

/**
 * The subject of a filter: whole weights, or an update, which is the difference that training made,
 * raw and in float32.
 */
export type FilterSubject = 'model' | 'update';

/** The setting in which a filter is applied: point, site, round, codecs and the reference model. */
export interface FilterContext {
  readonly point: FilterPoint;
  readonly site: string;
  readonly round: number;
  readonly codecs: CodecTable;
  /**
   * The model that a delta is relative to. At the task points: the model that the sites hold since
   * the last broadcast; missing where a model travels whole. At the result points: at the site, the
   * model as it was received, decoded; on the server, its own model.
   */
  readonly reference?: StateDict;
  /** Adds to a number of the round's metrics: `saturated`, `clipped`, … */
  count(name: string, amount: number): void;
}

/** A filter on messages: the subject that it takes, and the function that it applies. */
export interface Filter {
  /**
   * The subject that the filter takes; `either` where it makes no difference. An update is passed
   * raw, in float32.
   */
  readonly on: FilterSubject | 'either';
  /** The subject of the output, where it differs from that of the input. */
  readonly makes?: FilterSubject;
  /** The manifest of the output, from that of the input; unchanged without this function. */
  manifest?(manifest: Manifest): Manifest;
  /**
   * Applies the filter. Lazy: it returns at once and works chunk by chunk while the result is read.
   * It never changes its input, and its output gives the same bytes each time it is read.
   * Closing the output closes the input.
   */
  apply(model: StateDict, context: FilterContext): StateDict | Promise<StateDict>;
  /**
   * Set by a filter that promises a bound. Error feedback adds the residual to an update; the
   * filter is then applied once more, so that the promise holds for the message that leaves. Only
   * the counts of the first time are recorded.
   */
  readonly bounds?: true;
}

/** Applies filters from left to right. */
export async function applyFilters(model: StateDict, filters: readonly Filter[], context: FilterContext): Promise<StateDict> {
  let filtered = model;
  for (const filter of filters)
    filtered = await filter.apply(filter.on === 'update' ? asUpdate(filtered, context.codecs) : filtered, context);
  return filtered;
}

/** The manifest of the output of `applyFilters`, without reading a byte. */
export function filteredManifest(manifest: Manifest, filters: readonly Filter[]): Manifest {
  let filtered = manifest;
  for (const filter of filters) {
    if (filter.on === 'update') filtered = updateManifest(filtered);
    filtered = filter.manifest?.(filtered) ?? filtered;
  }
  return filtered;
}
