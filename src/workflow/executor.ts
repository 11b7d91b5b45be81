// The executor: what a site does with a task, whatever trainer it has and however the model came.

import type { CodecTable } from '../codec/codec.js';
import { decodeModel } from '../codec/quantize.js';
import { applyFilters, type Filter, type FilterContext } from '../filter/filter.js';
import { combine } from '../tensor/combine.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { StepReport, Trainer } from '../trainer/trainer.js';
import type { ResultFigures, Task } from './task.js';

export interface ExecutorOptions {
  readonly site: string;
  readonly trainer: Trainer;
  readonly codecs: CodecTable;
  /** Filters of `result-out` up to the first that loses anything, and from there on. */
  readonly beforeLoss: readonly Filter[];
  readonly lossy: readonly Filter[];
  /** What the coding of the last result lost: it is made good with this one (error feedback). */
  readonly residual?: StateDict;
}

/** A result and the model that goes with it, lazy: encoded while it is sent. */
export interface Execution {
  readonly figures: ResultFigures;
  /** Missing for an evaluation. */
  readonly model?: StateDict;
  /** What the coding loses now; to be kept once the result has been taken. Missing where nothing is lost. */
  readonly residual?: StateDict;
  /** Lets the trained model go, once it has been sent and its residual kept. */
  close?(): Promise<void>;
}

/** Hears how a task goes on. */
export interface ExecutionListener {
  onStep(report: StepReport): void;
  /** A sign of life that is no step. */
  onSign(): void;
}

/** Runs one task on a received model, after the filters of `task-in`; it is read again for the delta. */
export async function execute(
  task: Task,
  model: StateDict,
  options: ExecutorOptions,
  signal: AbortSignal,
  listener: ExecutionListener,
): Promise<Execution> {
  const counts: Record<string, number> = {};
  const count = (name: string, amount: number): void => {
    counts[name] = (counts[name] ?? 0) + amount;
  };
  const context: FilterContext = {
    point: 'result-out',
    site: options.site,
    round: task.round,
    codecs: options.codecs,
    reference: model,
    count,
  };
  const { trainer } = options;
  const progress = { round: task.round, rounds: task.rounds, onSign: listener.onSign };
  const first = task.kind === 'evaluate' || (task.evaluate && !trainer.evaluatesInTraining);
  const evaluation = first ? await trainer.evaluate(model, signal, progress) : undefined;
  if (task.kind === 'evaluate')
    return { figures: { task: task.id, samples: evaluation?.samples ?? 1, steps: 0, trainLoss: 0, evaluation, counts } };
  const result = await trainer.train({ ...progress, signal, onStep: listener.onStep }, model);
  const exact = await applyFilters(result.model, options.beforeLoss, context);
  const wanted = options.residual ? combine(exact, options.residual, (value, lost) => value + lost) : exact;
  const update = await applyFilters(wanted, options.lossy, context);
  const figures: ResultFigures = {
    task: task.id,
    samples: result.samples,
    steps: result.steps,
    trainLoss: result.trainLoss,
    evaluation: result.evaluation ?? evaluation,
    counts,
    metrics: result.metrics && { ...result.metrics },
  };
  const close = async (): Promise<void> => result.model.close?.();
  if (options.lossy.length === 0) return { figures, model: update, close };
  const sent = decodeModel(update, options.codecs);
  return { figures, model: update, residual: combine(wanted, sent, (value, arrived) => value - arrived), close };
}
