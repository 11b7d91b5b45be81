// The contract between a workflow and the run that it steers. A workflow is a plain async function
// whose asks are durable.
import type { CodecTable } from '../codec/codec.js';
import type { Logger } from '../core/log.js';
import type { Random } from '../core/random.js';
import type { ResultFigures, TaskModel } from '../exchange/task.js';
import type { Coding } from '../filter/coding.js';
import type { Job } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import type { Manifest } from '../tensor/manifest.js';
import type { NamedDicts } from '../tensor/named-dicts.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Metrics } from '../trainer/trainer.js';

/**
 * Steers a run from its last commit to its end; returns why it ended, in words for people. After a
 * crash it is called again: asks made since the last commit are answered from the replies that the
 * sites had already given. Between two asks it must therefore be deterministic: no clock, no random
 * numbers but those of the federation, no order but the order of names.
 */
export type Workflow = (federation: Federation) => Promise<string>;

/**
 * A run as its workflow sees it: the job, the sites that can be asked, the models on disk, and the
 * commits that end rounds.
 */
export interface Federation {
  readonly job: Job;
  /** All sites of the job, in the order of their names. */
  readonly sites: readonly string[];
  /** The global model, and any other state dicts that the workflow keeps from round to round. */
  readonly models: ModelStore;
  /** The committed rounds, in order; round 0 is the initial model. */
  readonly history: readonly Step[];
  /** The round that the next commit ends; 0 before the initial model is committed. */
  readonly round: number;
  readonly codecs: CodecTable;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /**
   * Evaluates a model on the server's own held-out data. Undefined where the server has none; then
   * the sites evaluate.
   */
  readonly evaluate: ((model: StateDict) => Promise<Metrics | undefined>) | undefined;
  /** Random numbers from the job's seed and these labels: the same after a restart. */
  random(...labels: readonly (string | number)[]): Random;
  /** The sites that are connected now. */
  connected(): readonly string[];
  /**
   * Prepares the global model for tasks, coded once for all sites. A second call for the same model
   * returns the same offer.
   */
  offer(options?: OfferOptions): Promise<Offer>;
  /**
   * Asks one site and waits for its answer. Durable. Rejects with `quorum` where the site fails or
   * falls silent.
   */
  ask(site: string, task: Ask): Promise<Reply>;
  /**
   * Asks many sites at once and waits until enough have answered. The list of sites that answered
   * in time is kept too, so a restart finds the same outcomes.
   */
  gather(task: Ask | ((site: string) => Ask), options?: GatherOptions): Promise<Outcome[]>;
  /**
   * Ends the round: makes the writes of `models.write` since the last commit durable, and forgets
   * the round's asks.
   */
  commit(figures?: { readonly evaluation?: Metrics | undefined }): Promise<void>;
  /** Adds figures to a round that is already committed. */
  note(round: number, evaluation: Metrics | undefined): Promise<void>;
  emit: EmitEvent;
}

/** A committed round. */
export interface Step {
  readonly round: number;
  /** Figures of the round's model. */
  readonly evaluation?: Metrics | undefined;
}

/**
 * Named state dicts of a run on disk. `model` is the global model: float32, with a note of its
 * checkpoint's dtypes.
 */
export interface ModelStore {
  /**
   * Opens the state dict as it was last written; the caller closes it. Rejects with `not-found`
   * where nothing of that name was written.
   */
  open(name: string): Promise<StateDict>;
  /** The names that can be opened, sorted. */
  names(): Promise<readonly string[]>;
  /**
   * Writes a raw state dict, chunk by chunk, at most once for each name in a round. Returns it as
   * it is on disk; the caller closes it. The next commit makes the write count.
   */
  write(name: string, model: StateDict): Promise<StateDict>;
  /** Writes texts of the model folder that go beside the weights: `config.json`, … */
  writeTexts(files: Readonly<Record<string, string>>): Promise<void>;
}

/** Options of `Federation.offer`. */
export interface OfferOptions {
  /** How the run begins, where the job leaves it open; only before the first offer of round 1. */
  readonly first?: Coding['first'];
  /**
   * Offers the server's model itself, uncoded, for this task alone. With `base`, sites may check
   * whether they have it already.
   */
  readonly exactly?: 'sent' | 'base';
}

/** The global model as it is offered to the sites. */
export interface Offer {
  /** The description of the model that goes into a task. */
  readonly model: TaskModel;
  /**
   * The model that a site holds once it has received the offer: float32, lazy, valid until the next
   * commit.
   */
  readonly held: StateDict;
  /** True where `held` is the server's model to the bit. */
  readonly exact: boolean;
}

/** A request to a site. */
export interface Ask {
  /**
   * `train`, `evaluate`, `offer`, `base`, or a kind of the workflow's own that the sites' programs
   * know.
   */
  readonly kind: string;
  readonly offer?: Offer | undefined;
  /** Further state dicts that go with the task, each coded as the job says for its name. */
  readonly extras?: NamedDicts;
  /** Numbers that go with the task. */
  readonly figures?: Readonly<Record<string, number>>;
  /** True where the site evaluates the model before it trains. */
  readonly evaluate?: boolean;
  /** The round that the ask counts for; by default the current one. */
  readonly round?: number;
  /**
   * The content of the answer: `update` for the trained model relative to the offered one, `model`
   * for a model of the site's own, `figures` for figures alone. The default depends on the kind.
   */
  readonly returns?: 'update' | 'model' | 'figures';
  /** Extras that must come back, with the manifest of each, by name. Others are refused. */
  readonly returnsExtras?: Readonly<Record<string, Manifest>>;
}

/**
 * A site's verified answer. Its state dicts are lazy, read from the received spool, and valid until
 * the next commit.
 */
export interface Reply {
  readonly site: string;
  readonly figures: ResultFigures;
  /**
   * The model as it travelled where that can be added up directly, otherwise after the server's
   * filters.
   */
  readonly model?: StateDict;
  /** True where the model is a difference to the global model. */
  readonly isUpdate?: boolean;
  /** The model that the mean of such models is added to; see `Contribution`. */
  readonly base?: StateDict | undefined;
  readonly extras: NamedDicts;
  /** The L2 norm of what the site has changed of the model's float values. */
  readonly norm?: number | undefined;
}

/** The outcome of asking one site: its reply, or why there is none. */
export type Outcome =
  | { readonly site: string; readonly status: 'done'; readonly reply: Reply }
  /**
   * `failed`: the site reported a failure. `silent`: it made no progress for too long. `late`: it
   * had not finished when the time was up.
   */
  | { readonly site: string; readonly status: 'failed' | 'silent' | 'late'; readonly reason: string };

/** Options of `Federation.gather`: whom to ask, and how long to wait. */
export interface GatherOptions {
  /** The sites to ask; by default all sites of the job. */
  readonly sites?: readonly string[];
  /** The number of answers that are needed; by default the job's quorum. */
  readonly quorum?: number;
  /** A site without progress for this long is given up; by default the job's `stragglerMs`. */
  readonly silenceMs?: number;
  /** The wait ends this long after the first ask; by default the job's `roundMs`, or three days. */
  readonly deadlineMs?: number;
  /**
   * The wait ends this long after the quorum was reached; by default the job's `graceMs`, or ten
   * times what the quorum took and at least 30 times `stragglerMs`.
   */
  readonly graceMs?: number;
}
