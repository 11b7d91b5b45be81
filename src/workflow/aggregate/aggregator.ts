// The aggregator contract: results of several sites in, one model out, chunk by chunk, with state
// from round to round.
import type { CodecTable } from '../../codec/codec.js';
import type { ResultFigures } from '../../exchange/task.js';
import type { Manifest } from '../../tensor/manifest.js';
import type { NamedDicts } from '../../tensor/named-dicts.js';
import type { Chunk, StateDict } from '../../tensor/state-dict.js';
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
  /** What the site says of its training: optimizer steps, losses, counts. Its own word, in bounds. */
  readonly figures?: ResultFigures;
  /** The L2 norm of what the site has changed of the model, as the server has measured it. */
  readonly norm?: number | undefined;
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
  /** The round whose model is made, counted from 1, and the rounds of the job. */
  readonly round: number;
  readonly rounds: number;
  /**
   * Writes a state dict that the next round finds in `state`, and returns it as it was written. It
   * is committed together with the model. What is made of the same values as the model is better
   * made in the same reading (`NextModel.together`).
   */
  keep(name: string, state: StateDict): Promise<StateDict>;
}

/** A chunk of the next model, or the next bytes of a state dict that is kept. */
export type Made = { readonly chunk: Chunk } | { readonly name: string; readonly bytes: Uint8Array };

/** A model, and what the next round finds in `state`, in one reading. */
export interface Together {
  /** The manifests of the raw state dicts that are kept, by name. */
  readonly manifests: Readonly<Record<string, Manifest>>;
  /**
   * All chunks of the model and of what is kept, those of one state dict in the order of its
   * manifest. Bytes are valid until the next ones are asked for.
   */
  chunks(): AsyncIterable<Made>;
}

/**
 * The next global model. With `together`, whoever writes it reads that, once, in place of `chunks`:
 * the state of an optimizer is then read and written in the pass that makes the model. `chunks`
 * gives the same model without it.
 */
export interface NextModel extends StateDict {
  readonly together?: Together;
}

/**
 * Makes the next global model, with the tensors of `previous` in their order. The model is lazy: it
 * is read once, while it is written. An aggregator holds a few chunks of each result in memory,
 * never a whole model. The same results give the same bits, whatever their order and the number of
 * threads.
 */
export interface Aggregator {
  (input: AggregatorInput): NextModel | Promise<NextModel>;
  /** The results that it needs, where one is not enough. */
  readonly needs?: LeastResults;
}

/** The results that a rule needs in every round: a job whose rounds may have fewer is refused. */
export interface LeastResults {
  readonly results: number;
  /** Why, for messages: `"krum" with malicious 1 needs 2 × malicious + 3 = 5 results`. */
  readonly because: string;
}
