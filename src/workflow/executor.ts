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
}

/** Runs one task on a received model, after the filters of `task-in`; it is read again for the delta. */
export async function execute(
  task: Task,
  model: StateDict,
  options: ExecutorOptions,
  signal: AbortSignal,
  onStep: (report: StepReport) => void,
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
  const evaluation = task.evaluate || task.kind === 'evaluate' ? await options.trainer.evaluate(model, signal) : undefined;
  if (task.kind === 'evaluate')
    return { figures: { task: task.id, samples: evaluation?.samples ?? 1, steps: 0, trainLoss: 0, evaluation, counts } };
  const result = await options.trainer.train({ round: task.round, rounds: task.rounds, signal, onStep }, model);
  const exact = await applyFilters(result.model, options.beforeLoss, context);
  const wanted = options.residual ? combine(exact, options.residual, (value, lost) => value + lost) : exact;
  const update = await applyFilters(wanted, options.lossy, context);
  const figures: ResultFigures = {
    task: task.id,
    samples: result.samples,
    steps: result.steps,
    trainLoss: result.trainLoss,
    evaluation,
    counts,
  };
  if (options.lossy.length === 0) return { figures, model: update };
  const sent = decodeModel(update, options.codecs);
  return { figures, model: update, residual: combine(wanted, sent, (value, arrived) => value - arrived) };
}
