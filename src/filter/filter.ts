// The filter contract: a function from one lazy state dict to another.
import type { CodecTable } from '../codec/codec.js';
import type { StateDict } from '../tensor/state-dict.js';

/** The four points of a round at which filters stand, as in NVFlare. */
export const FILTER_POINTS = ['task-out', 'task-in', 'result-out', 'result-in'] as const;
export type FilterPoint = (typeof FILTER_POINTS)[number];

export interface FilterContext {
  readonly point: FilterPoint;
  readonly site: string;
  readonly round: number;
  readonly codecs: CodecTable;
  /**
   * What a delta is against. At the task points: what the sites hold since the last broadcast; missing where a model travels whole. At the result
   * points: at the site the model as it was received, decoded; on the server its own model.
   */
  readonly reference?: StateDict;
  /** Numbers for the round's metrics: `saturated`, `clipped`, … Added up by name. */
  count(name: string, amount: number): void;
}

/** Lazy: it returns at once and works chunk by chunk while bytes move. It never changes the state dict that it is given. */
export type Filter = (model: StateDict, context: FilterContext) => StateDict | Promise<StateDict>;

/** Applies filters from left to right. */
export async function applyFilters(model: StateDict, filters: readonly Filter[], context: FilterContext): Promise<StateDict> {
  let filtered = model;
  for (const filter of filters) filtered = await filter(filtered, context);
  return filtered;
}
