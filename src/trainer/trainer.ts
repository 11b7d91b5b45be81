// The trainer contract: a model and a task in, a trained model and its figures out.
import type { StateDict } from '../tensor/state-dict.js';
import type { Fingerprints } from './fingerprints.js';
import type { PartPlan } from './part-plan.js';
import type { Statistics, StatisticsWish } from './statistics.js';

/** Figures of one optimizer step, as `metrics.jsonl` has them. */
export interface StepReport {
  /** Optimizer steps of this site since the run began, from 1. */
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly tokens: number;
}

/** The round of a task, the state dicts that came with it, and a callback for the trainer's progress. */
export interface TaskProgress {
  /** From 1. */
  readonly round: number;
  readonly rounds: number;
  /**
   * Called by the trainer whenever it makes progress other than a step, as often as it likes: a
   * site without steps or progress for `stragglerMs` of the job is given up for the round.
   */
  onProgress?(): void;
  /**
   * State dicts that came with the task, by name (`checkExtraNames`): for example `control`, the
   * server's control variate of SCAFFOLD. Each may be read as often as needed until the call ends;
   * they are the caller's to close. Missing where there are none.
   */
  readonly extras?: Readonly<Record<string, StateDict>>;
}

/**
 * One call of `train`: the round, the numbers that came with the task, where steps are
 * reported, and the signal that ends it.
 */
export interface TrainTask extends TaskProgress {
  readonly signal: AbortSignal;
  /**
   * Finite numbers that the workflow gives with the task, by name: for example `mu`, the weight of
   * FedProx's proximal term. Missing where there are none.
   */
  readonly figures?: Readonly<Record<string, number>>;
  onStep(report: StepReport): void;
}

/**
 * Figures of an evaluation; `loss` is in nats a target token, `exactMatch` in 0..1 where the
 * trainer knows it.
 */
export interface Metrics {
  readonly loss: number;
  readonly exactMatch?: number;
  readonly samples: number;
}

/**
 * A trained model with the figures that go with it. `steps` are optimizer steps of this round;
 * losses are in nats a target token.
 */
export interface TrainResult {
  /** Read by the caller before the next call; closed by the caller. */
  readonly model: StateDict;
  /** The weight of this result in the average. */
  readonly samples: number;
  readonly steps: number;
  /** Mean loss over the round's steps. */
  readonly trainLoss: number;
  /** Figures of the model as it was received, from a trainer that `evaluatesInTraining`. */
  readonly evaluation?: Metrics;
  /** Figures of the site's personal model after this round, where it trains one. */
  readonly personal?: Metrics;
  /** Further numbers by name, for the log and the summary. */
  readonly metrics?: Readonly<Record<string, number>>;
  /**
   * State dicts beside the model, by name (`checkExtraNames`). Read by the caller before the next
   * call; closed by the caller.
   */
  readonly extras?: Readonly<Record<string, StateDict>>;
}

/** The initial model that a trainer offers. */
export interface Offer {
  /** Closed by the caller. */
  readonly model: StateDict;
  /** Texts of the model folder: `config.json`, `adapter_config.json`, … */
  readonly files: Readonly<Record<string, string>>;
}

/** A segment of a round whose model is exchanged in parts: its part, from 1, and their number. */
export interface Segment {
  readonly part: number;
  readonly of: number;
}

/** A part of the model at the end of a segment, with the figures of the segment's steps. */
export interface TrainedPart {
  /** Counted over the run, from 1. */
  readonly segment: number;
  /** The part's tensors as they were then: training goes on meanwhile. Closed by the caller. */
  readonly model: StateDict;
  readonly samples: number;
  readonly steps: number;
  readonly trainLoss: number;
  readonly metrics?: Readonly<Record<string, number>> | undefined;
  /**
   * Whatever the trainer needs to go on from here, at the end of a round, from a trainer that can;
   * read before `send` resolves.
   */
  readonly state?: StateDict | undefined;
}

/** One call of `trainParts`: from a segment to the end of the run (docs/spec/streaming.md). */
export interface PartsTask extends TaskProgress {
  readonly signal: AbortSignal;
  readonly plan: PartPlan;
  /** The names of the tensors of each part. */
  readonly parts: readonly ReadonlySet<string>[];
  /** The segments that are done: training begins with the next one. */
  readonly done: number;
  onStep(report: StepReport): void;
  /** Called at the end of each segment, after the merge that falls on it. Training goes on once it resolves. */
  send(part: TrainedPart): Promise<void>;
  /** The next global values of the part that a segment has sent; waits for them. Closed by the trainer. */
  merge(segment: number): Promise<StateDict>;
}

/** The beginning of a training in parts: a whole model, or the state that the trainer gave to `send`. */
export interface PartsStart {
  readonly kind: 'model' | 'state';
  readonly dict: StateDict;
}

/** The program that a site trains with. It knows nothing of filters, codecs or streams. */
export interface Trainer {
  train(task: TrainTask, model: StateDict): Promise<TrainResult>;
  /** Figures of `model` on the trainer's own validation data; undefined if it has no such data. */
  evaluate(model: StateDict, signal: AbortSignal, progress?: TaskProgress): Promise<Metrics | undefined>;
  /**
   * True if `train` evaluates the model that it is given, so that it need not be handed over twice.
   */
  readonly evaluatesInTraining?: boolean;
  /**
   * The number of different samples that the training of a round uses, from a trainer that follows
   * the job: the site's limits are checked against it before each training; and against the number
   * that so many steps have used, after one that a clock may have ended. With a segment, those of its
   * steps alone.
   */
  samplesIn?(round: number, steps?: number | Segment): number;
  /**
   * Called where the server did not take the result of a round: state that would have to agree with
   * the server's is put back to that of the round before.
   */
  forget?(round: number): Promise<void>;
  /**
   * Trains from `start` to the end of the run while parts of the model are exchanged: sends a part at
   * the end of each segment, and merges it `plan.overlap` steps later. From a state it also merges what
   * the last segment before it has sent. Missing from a trainer that cannot; rejects with `unsupported`
   * where that is known only now.
   */
  trainParts?(task: PartsTask, start: PartsStart): Promise<void>;
  /**
   * What the training rests on, as short texts by name (`fingerprintsSchema`): settings of an adapter,
   * digests of base and tokenizer. The site asks once before its first task of training, and again
   * after a task that failed; the server trains only with sites that do not contradict each other.
   */
  fingerprints?(signal: AbortSignal, progress?: TaskProgress): Promise<Fingerprints>;
  /**
   * What the trainer knows beyond plain training, by name: `mu` (FedProx's proximal term), `control`
   * (SCAFFOLD's control variates), `personal` (a personal model), `evaluation` (held-out data of its
   * own), `stack` (products beside the base of an adapter). A task that needs something else is refused before the training. Missing, or undefined,
   * where the trainer does not tell: then it has no task that needs anything, and extras are handed
   * over as they come.
   */
  knows?(signal: AbortSignal, progress?: TaskProgress): Promise<readonly string[] | undefined>;
  /**
   * Statistics of the trainer's own data, for a task of kind `statistics`: no bin is of fewer samples
   * than the wish says. Missing where a trainer has none to tell.
   */
  statistics?(wish: StatisticsWish, signal: AbortSignal): Promise<Statistics>;
  /**
   * Offers an initial model, for a server that has none; missing if the trainer has none either.
   */
  offer?(signal: AbortSignal): Promise<Offer>;
  close(): Promise<void>;
}
