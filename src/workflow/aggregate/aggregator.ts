// The aggregator contract: the results of several sites in, one model out, chunk by chunk, and what it keeps from round to round.
import type { CodecTable } from '../../codec/codec.js';
import type { NamedDicts } from '../../tensor/named-dicts.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { IntegerRule } from './integers.js';

/** One site's accepted result. */
export interface Contribution {
  readonly site: string;
  /** As it travelled, coded or raw; float32, lazy. */
  readonly model: StateDict;
  /** Whether it is a difference to the global model, or weights; the same for all. */
  readonly isUpdate: boolean;
  /** What the mean of the models is added to: the global model for updates, and for weights what the sites' dtypes could not hold of it. */
  readonly base?: StateDict | undefined;
  /** What the average is weighted by; above 0. */
  readonly samples: number;
  /** Further state dicts that came with the result, decoded as they are read. */
  readonly extras?: NamedDicts;
}

export interface AggregatorInput {
  /** In any order: it must not show in the result. At least one. */
  readonly results: readonly Contribution[];
  /** The global model until now, float32. It gives the tensors that no result has. */
  readonly previous: StateDict;
  /** What earlier rounds kept, by name; empty in the first. */
  readonly state: NamedDicts;
  readonly codecs: CodecTable;
  /** How tensors are combined that cannot be averaged. */
  readonly integers: IntegerRule;
  /** Writes a state dict that the next round will find in `state`, and returns it as it was written: it is committed with the model. */
  keep(name: string, state: StateDict): Promise<StateDict>;
}

/**
 * The next global model, with the tensors of `previous` in their order. Lazy: it is read once, while it is written. Memory is some chunks a
 * result, never a model. The same results give the same bits, whatever their order and the number of threads.
 */
export type Aggregator = (input: AggregatorInput) => StateDict | Promise<StateDict>;
