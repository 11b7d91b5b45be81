// The trainer contract: a model and a task in, a trained model and its figures out.
import type { StateDict } from '../tensor/state-dict.js';

/** One optimizer step, as it goes to `metrics.jsonl`. */
export interface StepReport {
  /** Optimizer steps of this site since the run began, from 1. */
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly tokens: number;
}

/** Where the job stands, and who hears that the trainer is at work. */
export interface TaskProgress {
  /** From 1. */
  readonly round: number;
  readonly rounds: number;
  /** Called at every sign of life that is no step, as often as there are any. */
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

/** Figures of an evaluation; `loss` is in nats a target token, `exactMatch` in 0..1 where the trainer knows it. */
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
  /** Of the model as it was received, from a trainer that `evaluatesInTraining`. */
  readonly evaluation?: Metrics;
  /** Further numbers by name, for the log and the summary. */
  readonly metrics?: Readonly<Record<string, number>>;
  /**
   * State dicts beside the model, by name (`checkExtraNames`). Read by the caller before the next
   * call; closed by the caller.
   */
  readonly extras?: Readonly<Record<string, StateDict>>;
}

/** What a trainer would begin with. */
export interface Offer {
  /** Closed by the caller. */
  readonly model: StateDict;
  /** Texts of the model folder: `config.json`, `adapter_config.json`, … */
  readonly files: Readonly<Record<string, string>>;
}

/** What a site runs. It knows nothing of filters, codecs or streams. */
export interface Trainer {
  train(task: TrainTask, model: StateDict): Promise<TrainResult>;
  /** Figures of `model` on the trainer's own validation data; undefined where it has none. */
  evaluate(model: StateDict, signal: AbortSignal, progress?: TaskProgress): Promise<Metrics | undefined>;
  /** Set where `train` evaluates the model that it is given, so that it need not be handed over twice. */
  readonly evaluatesInTraining?: boolean;
  /** Its own initial model, for a server that has none; missing where it has none either. */
  offer?(signal: AbortSignal): Promise<Offer>;
  close(): Promise<void>;
}
