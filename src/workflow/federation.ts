// The contract between a workflow and the run that it steers. A workflow is a plain async function; what it asks is durable.
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
 * Steers a run from its last commit to its end; returns why it ended, for people. After a crash it is simply called again: whatever it
 * asked since the last commit is answered from what the sites had answered already. So between two asks it is deterministic: no
 * clock, no random numbers but the federation's, no order but that of names.
 */
export type Workflow = (federation: Federation) => Promise<string>;

export interface Federation {
  readonly job: Job;
  /** All sites of the job, in the order of their names. */
  readonly sites: readonly string[];
  /** The global model, and whatever else the workflow keeps from round to round. */
  readonly models: ModelStore;
  /** What was committed, in order; round 0 is the initial model. */
  readonly history: readonly Step[];
  /** The round that the next commit ends: 0 before the initial model is committed. */
  readonly round: number;
  readonly codecs: CodecTable;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Figures of a model on the server's own held-out data; undefined where it has none: then the sites evaluate. */
  readonly evaluate: ((model: StateDict) => Promise<Metrics | undefined>) | undefined;
  /** Random numbers of the job's seed and these labels: the same after a restart. */
  random(...labels: readonly (string | number)[]): Random;
  /** The sites that are connected now. */
  connected(): readonly string[];
  /** Makes the global model ready to be asked about, coded once for all sites. Asked again for the same model, it is the same offer. */
  offer(options?: OfferOptions): Promise<Offer>;
  /** Asks one site and waits for its answer; rejects with `quorum` where it fails or falls silent. Durable. */
  ask(site: string, task: Ask): Promise<Reply>;
  /** Asks many at once and waits until enough have answered. Who made it in time is part of what is kept, so a restart finds the same. */
  gather(task: Ask | ((site: string) => Ask), options?: GatherOptions): Promise<Outcome[]>;
  /** Ends the round: makes durable what `models.write` wrote since the last commit, and forgets what was asked. */
  commit(figures?: { readonly evaluation?: Metrics | undefined }): Promise<void>;
  /** Adds figures to a round that is committed already. */
  note(round: number, evaluation: Metrics | undefined): Promise<void>;
  emit: EmitEvent;
}

/** A committed round. */
export interface Step {
  readonly round: number;
  /** Of its model. */
  readonly evaluation?: Metrics | undefined;
}

/** Named state dicts of a run on disk. `model` is the global one: float32, with a note of the dtypes of its checkpoint. */
export interface ModelStore {
  /** As it was written last. Closed by the caller. Rejects with `not-found` where nothing of that name was written. */
  open(name: string): Promise<StateDict>;
  /** What there is to open, in the order of names. */
  names(): Promise<readonly string[]>;
  /** Writes a raw state dict, chunk by chunk, once a round and name; returns it as it is on disk, closed by the caller. The next commit makes it count. */
  write(name: string, model: StateDict): Promise<StateDict>;
  /** Texts of the model folder beside its weights: `config.json`, … */
  writeTexts(files: Readonly<Record<string, string>>): Promise<void>;
}

export interface OfferOptions {
  /** How the run begins, where the job leaves it open; before the first offer of round 1. */
  readonly first?: Coding['first'];
  /** The server's model itself, uncoded, for this task alone; `base` lets sites look whether they have it already. */
  readonly exactly?: 'sent' | 'base';
}

/** The global model as sites can get it. */
export interface Offer {
  /** What a task says of it. */
  readonly model: TaskModel;
  /** What a site holds once it has it: float32, lazy, valid until the next commit. */
  readonly held: StateDict;
  /** Whether that is the server's model to the bit. */
  readonly exact: boolean;
}

/** What is asked of a site. */
export interface Ask {
  /** `train`, `evaluate`, `offer`, `base`, or a kind of the workflow's own that the sites' programs know. */
  readonly kind: string;
  readonly offer?: Offer | undefined;
  /** Further state dicts that go with the task, coded as the job says of their names. */
  readonly extras?: NamedDicts;
  /** Numbers that go with the task. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Whether the site evaluates the model before it trains. */
  readonly evaluate?: boolean;
  /** The round that it counts for; by default the one under way. */
  readonly round?: number;
  /** What comes back: the trained model in terms of the offered one, a model of the site's own, or figures alone. By default what the kind says. */
  readonly returns?: 'update' | 'model' | 'figures';
  /** Extras that come back, by name, and what each consists of. Others are refused. */
  readonly returnsExtras?: Readonly<Record<string, Manifest>>;
}

/** A site's verified answer. State dicts are lazy, over what arrived, and valid until the next commit. */
export interface Reply {
  readonly site: string;
  readonly figures: ResultFigures;
  /** As it travelled where that can be added as it is, else after the server's filters. */
  readonly model?: StateDict;
  /** Whether it is a difference to the global model. */
  readonly isUpdate?: boolean;
  /** What the mean of such models is added to; see `Contribution`. */
  readonly base?: StateDict | undefined;
  readonly extras: NamedDicts;
}

export type Outcome =
  | { readonly site: string; readonly status: 'done'; readonly reply: Reply }
  /** It said that it failed; it showed no sign of progress for too long; it was not done when the others had been, or when time was up. */
  | { readonly site: string; readonly status: 'failed' | 'silent' | 'late'; readonly reason: string };

export interface GatherOptions {
  /** By default all sites of the job. */
  readonly sites?: readonly string[];
  /** Answers that are needed; by default the job's quorum. */
  readonly quorum?: number;
  /** A site without progress for this long is given up; by default the job's `stragglerMs`. */
  readonly silenceMs?: number;
  /** So long after the first ask nobody is waited for; by default the job's `roundMs`, where it has one. */
  readonly deadlineMs?: number;
  /** So long after the quorum was reached nobody is waited for; by default the job's `graceMs`, where it has one. */
  readonly graceMs?: number;
}
