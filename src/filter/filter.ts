// The filter contract: a function from one lazy state dict to another, and what it says of itself.
import type { CodecTable } from '../codec/codec.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import { asUpdate, updateManifest } from './update.js';

/** The four points of a round at which filters stand, as in NVFlare. */
export const FILTER_POINTS = ['task-out', 'task-in', 'result-out', 'result-in'] as const;
export type FilterPoint = (typeof FILTER_POINTS)[number];

/** Whole weights, or an update: what training has changed of them, raw and in float32. */
export type FilterSubject = 'model' | 'update';

export interface FilterContext {
  readonly point: FilterPoint;
  readonly site: string;
  readonly round: number;
  readonly codecs: CodecTable;
  /**
   * The model that a delta is against. At the task points: what the sites hold since the last
   * broadcast; missing where a model travels whole. At the result points: at the site the model as
   * it was received, decoded; on the server its own model.
   */
  readonly reference?: StateDict;
  /** Numbers for the round's metrics: `saturated`, `clipped`, … Added up by name. */
  count(name: string, amount: number): void;
}

export interface Filter {
  /**
   * The subject that it takes; `either` where it makes no difference to it. An update is given to
   * it raw, in float32.
   */
  readonly on: FilterSubject | 'either';
  /** The subject that comes out, if it is the other of the two. */
  readonly makes?: FilterSubject;
  /** The manifest of what comes out, made from that of what goes in; the same without it. */
  manifest?(manifest: Manifest): Manifest;
  /**
   * Lazy: it returns at once and works chunk by chunk while bytes move. It never changes the state
   * dict that it is given, and returns one that gives the same bytes each time it is read.
   */
  apply(model: StateDict, context: FilterContext): StateDict | Promise<StateDict>;
  /**
   * It promises a bound. Error feedback adds to an update what coding has kept back before; the
   * filter is then applied once more, so that the promise holds for what leaves. Its
   * numbers are counted the first time alone.
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

/** The manifest of what `applyFilters` gives, without a byte being there. */
export function filteredManifest(manifest: Manifest, filters: readonly Filter[]): Manifest {
  let filtered = manifest;
  for (const filter of filters) {
    if (filter.on === 'update') filtered = updateManifest(filtered);
    filtered = filter.manifest?.(filtered) ?? filtered;
  }
  return filtered;
}
