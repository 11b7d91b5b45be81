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

export interface TrainTask {
  /** From 1. */
  readonly round: number;
  readonly rounds: number;
  readonly signal: AbortSignal;
  onStep(report: StepReport): void;
}

/** Figures of an evaluation; `loss` is in nats a target token, `exactMatch` in 0..1. */
export interface Metrics {
  readonly loss: number;
  readonly exactMatch: number;
  readonly samples: number;
}

export interface TrainResult {
  /** Read by the caller before the next call; closed by the caller. */
  readonly model: StateDict;
  /** The weight of this result in the average. */
  readonly samples: number;
  readonly steps: number;
  /** Mean loss over the round's steps. */
  readonly trainLoss: number;
}

/** What a site runs. It knows nothing of filters, codecs or streams. */
export interface Trainer {
  train(task: TrainTask, model: StateDict): Promise<TrainResult>;
  /** Figures of `model` on the trainer's own validation data; undefined where it has none. */
  evaluate(model: StateDict, signal: AbortSignal): Promise<Metrics | undefined>;
  close(): Promise<void>;
}
