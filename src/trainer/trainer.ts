// The trainer contract: a model and a task in, a trained model and its figures out.
import type { StateDict } from '../tensor/state-dict.js';
import type { Fingerprints } from './fingerprints.js';

/** Figures of one optimizer step, as `metrics.jsonl` has them. */
export interface StepReport {
  /** Optimizer steps of this site since the run began, from 1. */
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly tokens: number;
}

/** The round of a task, and a callback for the trainer's progress. */
export interface TaskProgress {
  /** From 1. */
  readonly round: number;
  readonly rounds: number;
  /**
   * Called by the trainer whenever it makes progress other than a step, as often as it likes: a
   * site without steps or progress for `stragglerMs` of the job is given up for the round.
   */
  onProgress?(): void;
}

/**
 * One call of `train`: the round, the extras and numbers that came with the task, where steps are
 * reported, and the signal that ends it.
 */
export interface TrainTask extends TaskProgress {
  readonly signal: AbortSignal;
  /**
   * State dicts that came with the task, by name (`checkExtraNames`): for example `control`, the
   * server's control variate of SCAFFOLD. Each may be read as often as needed until `train` ends;
   * they are the caller's to close. Missing where there are none.
   */
  readonly extras?: Readonly<Record<string, StateDict>>;
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
   * the job: the site's limits are checked against it before each training.
   */
  samplesIn?(round: number): number;
  /**
   * What the training rests on, as short texts by name (`fingerprintsSchema`): settings of an adapter,
   * digests of base and tokenizer. The site asks once before its first task of training, and again
   * after a task that failed; the server trains only with sites that do not contradict each other.
   */
  fingerprints?(signal: AbortSignal, progress?: TaskProgress): Promise<Fingerprints>;
  /**
   * Offers an initial model, for a server that has none; missing if the trainer has none either.
   */
  offer?(signal: AbortSignal): Promise<Offer>;
  close(): Promise<void>;
}
