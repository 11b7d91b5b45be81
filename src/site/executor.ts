// The executor: what a site does with a task, whatever trainer it has and however the model came.

import type { ResultFigures, Task } from '../exchange/task.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { StepReport, Trainer } from '../trainer/trainer.js';

/** What was trained, and its figures. */
export interface Execution {
  readonly figures: ResultFigures;
  /** As the trainer returned it, to be closed by the caller; missing for an evaluation. */
  readonly trained?: StateDict;
}

/** Hears how a task goes on. */
export interface ExecutionListener {
  onStep(report: StepReport): void;
  /** A sign of life that is no step. */
  onSign(): void;
}

/** Runs one task on the model that the site is given. */
export async function execute(
  task: Task,
  given: StateDict,
  trainer: Trainer,
  signal: AbortSignal,
  listener: ExecutionListener,
): Promise<Execution> {
  const progress = { round: task.round, rounds: task.rounds, onSign: listener.onSign };
  const first = task.kind === 'evaluate' || (task.evaluate && !trainer.evaluatesInTraining);
  const evaluation = first ? await trainer.evaluate(given, signal, progress) : undefined;
  if (task.kind === 'evaluate')
    return { figures: { task: task.id, samples: evaluation?.samples ?? 1, steps: 0, trainLoss: 0, evaluation, counts: {} } };
  const result = await trainer.train({ ...progress, signal, onStep: listener.onStep }, given);
  const figures: ResultFigures = {
    task: task.id,
    samples: result.samples,
    steps: result.steps,
    trainLoss: result.trainLoss,
    evaluation: result.evaluation ?? evaluation,
    counts: {},
    metrics: result.metrics && { ...result.metrics },
  };
  return { figures, trained: result.model };
}
