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
import type { Sample } from './sample.js';

/**
 * Steers a run from its last commit to its end; returns why it ended, in words for people. After a
 * crash it is called again: asks made since the last commit are answered from the replies that the
 * sites had already given. Between two asks it must therefore be deterministic: no clock, no random
 * numbers but those of the federation, no order but the order of names.
 */
export interface Workflow {
  (federation: Federation): Promise<string>;
  /** True where the model lives at the sites alone: the server needs none, holds none and leaves none. */
  readonly modelAtSites?: boolean;
  /** Throws `bad-job`, naming the field, where the job has one that the workflow cannot follow. */
  checkJob?(job: Job, codecs: CodecTable): void;
}

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
  /**
   * The sites that train in the current round, and how many results it needs: all sites of the job,
   * or those that it draws for the round (`sample`). The same after a restart. Where a job draws
   * sites, a workflow that asks others to train, without having called this, is refused.
   */
  sample(): Sample;
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
  /** Asks that outlive commits, for workflows in which no site waits for another. */
  readonly inFlight: InFlight;
  /**
   * Ends the round: makes the writes of `models.write` since the last commit durable, and forgets
   * the round's asks.
   */
  commit(figures?: CommitFigures): Promise<void>;
  /** Adds figures to a round that is already committed. */
  note(round: number, evaluation: Metrics | undefined): Promise<void>;
  /** Adds figures by site to a round that is already committed, and tells them as events. */
  noteSites(round: number, figures: readonly SiteFigures[]): Promise<void>;
  emit: EmitEvent;
}

/** The figures of a committed round. */
export interface CommitFigures {
  readonly evaluation?: Metrics | undefined;
  /** True where the round has no model here; without it, a run that has none is an error. */
  readonly withoutModel?: boolean;
}

/** A committed round. */
export interface Step {
  readonly round: number;
  /** Figures of the round's model. */
  readonly evaluation?: Metrics | undefined;
  /** Figures by site, of this round's model and of others. */
  readonly bySite?: readonly SiteFigures[] | undefined;
  /** The answers to asks in flight that came in the round, in their order. */
  readonly arrivals?: readonly Arrived[] | undefined;
}

/** What a model achieves on the data of one site, or why that is not known. */
export interface SiteFigures {
  /** The site whose data it is. */
  readonly site: string;
  /** The round that the model is of. */
  readonly round: number;
  /** The site that trained the model; missing for the global model. */
  readonly trained?: string | undefined;
  readonly evaluation?: Metrics | undefined;
  /** Why there are no figures. */
  readonly reason?: string | undefined;
}

/** An answer to an ask in flight, as the journal has it. */
export interface Arrived {
  readonly site: string;
  /** The round in which the site was asked. */
  readonly round: number;
  readonly status: Outcome['status'];
}

/** An answer to an ask in flight. The model of a reply is an update of the model that was offered. */
export type Arrival = Outcome & {
  /** The round in which the site was asked: its offer is the model of the round before. */
  readonly round: number;
};

/**
 * Asks that outlive commits. One that is open at a commit stays open, with its offer, and answers
 * come one by one, in the order in which they arrive; that order is made durable before the
 * workflow sees it, so that after a crash it sees the same. At most one ask of a site is in flight,
 * and a `gather` of that site gives it up. Such asks carry no extras.
 */
export interface InFlight {
  /** The asks whose answers were not yet returned by `next`, in the order of the sites' names. */
  open(): Promise<readonly { readonly site: string; readonly round: number }[]>;
  /** Asks a site, and does not wait. */
  ask(site: string, task: Ask): Promise<void>;
  /**
   * The next answer, in the order of arrival. A site that makes no progress for too long is `silent`,
   * one that takes longer than `deadlineMs` since it was asked is `late`. Its reply is valid until
   * the next commit. Throws `bad-argument` where nothing is in flight.
   */
  next(options?: Pick<GatherOptions, 'silenceMs' | 'deadlineMs'>): Promise<Arrival>;
  /**
   * Lets go of what was offered before that round. Sites that are still at work on it are not
   * disturbed, but whatever they answer is `late`, with this reason.
   */
  expire(before: number, reason: string): Promise<void>;
  /**
   * Forgets the answers of this round that were none, before a workflow gives up: a run that goes on
   * later asks those sites again.
   */
  forgetFailures(): Promise<void>;
  /** Why arrivals are refused, by site: their norms are compared as those of one `gather` are. */
  outliers(arrivals: readonly Arrival[]): Promise<ReadonlyMap<string, string>>;
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
  /**
   * Opens the global model of an earlier round: the best one is kept. Rejects with `not-found` where
   * it is not; the caller closes it.
   */
  openRound(round: number): Promise<StateDict>;
  /** The names that can be opened, sorted. */
  names(): Promise<readonly string[]>;
  /**
   * Writes a raw state dict, chunk by chunk, at most once for each name in a round. Returns it as
   * it is on disk; the caller closes it. The next commit makes the write count.
   */
  write(name: string, model: StateDict): Promise<StateDict>;
  /**
   * Begins a raw state dict whose bytes are given as they are made, beside another. It counts as
   * written once it is finished.
   */
  begin(name: string, manifest: Manifest): Promise<DictWriter>;
  /** Writes texts of the model folder that go beside the weights: `config.json`, … */
  writeTexts(files: Readonly<Record<string, string>>): Promise<void>;
}

/** A state dict of a run that is being written. */
export interface DictWriter {
  /** Takes the next bytes, in the order of the manifest; they may be reused once the call has ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends it; throws `internal` unless it is whole. */
  finish(): Promise<void>;
  /** Removes what was written. */
  abandon(): Promise<void>;
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
  /** Offers a part of the model in place of the whole. */
  readonly part?: OfferedPart;
  /**
   * Offers this state dict in place of the global model, uncoded, for one task alone: in the dtypes
   * of the checkpoint, which are those that a trainer is given. It stays open as long as the offer.
   */
  readonly model?: StateDict;
  /** A part of the name under which it is offered. */
  readonly as?: string;
}

/** A part of the model that is offered by itself, as a chain of its own. */
export interface OfferedPart {
  /** Names its files; the same in every round. */
  readonly name: string;
  /** Counts the offers of this part over the run, from 1. */
  readonly version: number;
  /** Opens the part; the offer closes it. */
  open(): Promise<StateDict>;
}

/** The parts of a model as a task brings them. */
export interface AskedParts {
  /** The part, from 1, whose update is asked for. */
  readonly part: number;
  readonly overlap: number;
  readonly alpha: number;
  /** Every part, and the round in which it became so. */
  readonly offers: readonly { readonly round: number; readonly offer: Offer }[];
  /** The manifest of the whole model. */
  readonly manifest: Manifest;
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
   * `train`, `trainPart`, `evaluate`, `offer`, `base`, or a kind of the workflow's own that the sites' programs
   * know.
   */
  readonly kind: string;
  readonly offer?: Offer | undefined;
  /** The parts of the model, where it is exchanged in parts; `offer` is then the one that is asked for. */
  readonly parts?: AskedParts | undefined;
  /** Further state dicts that go with the task, each coded as the job says for its name. */
  readonly extras?: NamedDicts;
  /** Numbers that go with the task. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Texts that go with the task, for a kind of the workflow's own that reads them. */
  readonly texts?: Readonly<Record<string, string>>;
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
  /**
   * What the site's trainer must know for this training (`Trainer.knows`): `mu`, `personal`, … A
   * site whose trainer does not tell that it knows them refuses the task before it trains.
   */
  readonly needs?: readonly string[];
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
  /** The model that the site was given, of an answer to an ask in flight. */
  readonly given?: StateDict;
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
  /**
   * A site that only says that it is alive is given up after this long; by default the job's
   * `aliveMs`, or 60 times `stragglerMs`.
   */
  readonly aliveMs?: number;
  /** The wait ends this long after the first ask; by default the job's `roundMs`, or three days. */
  readonly deadlineMs?: number;
  /**
   * The wait ends this long after the quorum was reached; by default the job's `graceMs`, or ten
   * times what the quorum took and at least 30 times `stragglerMs`.
   */
  readonly graceMs?: number;
}
