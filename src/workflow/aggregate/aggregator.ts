// The aggregator contract: results of several sites in, one model out, chunk by chunk, with state
// from round to round.
import type { CodecTable } from '../../codec/codec.js';
import type { NamedDicts } from '../../tensor/named-dicts.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { IntegerRule } from './integers.js';

/** One site's accepted result. */
export interface Contribution {
  readonly site: string;
  /** The model as it travelled, coded or raw; decodes to float32. Lazy. */
  readonly model: StateDict;
  /**
   * True for a difference to the global model, false for weights; the same for all results of a
   * round.
   */
  readonly isUpdate: boolean;
  /**
   * The model that the mean is added to: the global model for updates; for weights, the part of the
   * global model that the sites' dtypes could not hold.
   */
  readonly base?: StateDict | undefined;
  /**
   * The weight of this result in the average, by the job's `weights`: what the site claims, within
   * bounds, or what the job says. Above 0.
   */
  readonly samples: number;
  /** Further state dicts that came with the result, decoded as they are read. */
  readonly extras?: NamedDicts;
}

/**
 * Everything that an aggregator works from: the round's results, the last global model, and its own
 * state.
 */
export interface AggregatorInput {
  /** At least one result, in any order; the order must not affect the outcome. */
  readonly results: readonly Contribution[];
  /** The last global model, float32. Tensors that no result has are taken from it. */
  readonly previous: StateDict;
  /** State dicts that earlier rounds kept, by name; empty in the first round. */
  readonly state: NamedDicts;
  readonly codecs: CodecTable;
  /** The rule for tensors that cannot be averaged. */
  readonly integers: IntegerRule;
  /**
   * Writes a state dict that the next round finds in `state`, and returns it as it was written. It
   * is committed together with the model.
   */
  keep(name: string, state: StateDict): Promise<StateDict>;
}

/**
 * Makes the next global model, with the tensors of `previous` in their order. The model is lazy: it
 * is read once, while it is written. An aggregator holds a few chunks of each result in memory,
 * never a whole model. The same results give the same bits, whatever their order and the number of
 * threads.
 */
export type Aggregator = (input: AggregatorInput) => StateDict | Promise<StateDict>;
