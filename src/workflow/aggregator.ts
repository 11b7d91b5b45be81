// The aggregator contract: models of several sites in, one model out, chunk by chunk.
import type { StateDict } from '../tensor/state-dict.js';

/** One site's accepted result. */
export interface Contribution {
  readonly site: string;
  /** As it travelled, coded or raw; of the model's own dtypes. */
  readonly model: StateDict;
  /** What the result is a difference to, where it is one; the same for all. */
  readonly base?: StateDict | undefined;
  /** What the average is weighted by. */
  readonly samples: number;
}

/**
 * Lazy: nothing is read until the model that it returns is. Contributions may come in any order and must give the same bits.
 * `previous` gives the tensors that no contribution has.
 */
export type Aggregator = (contributions: readonly Contribution[], previous: StateDict) => StateDict;
