// The built-in trainer's training in parts: segments of steps, a part sent after each, and merged some
// steps later (docs/spec/streaming.md).
import { copied } from '../tensor/copied.js';
import { partOf } from '../tensor/model-parts.js';
import type { Batches } from './data/batches.js';
import type { LlamaEngine } from './llama/engine.js';
import { learningRateAt, type ScheduleSettings } from './llama/schedule.js';
import { checkPlan, partOfSegment, segmentEnd } from './part-plan.js';
import type { PartsStart, PartsTask } from './trainer.js';

/** What the built-in trainer trains with. */
export interface PartTraining {
  readonly engine: LlamaEngine;
  readonly batches: Batches;
  readonly settings: ScheduleSettings & { readonly optimizerState: 'keep' | 'reset' };
  /** Steps of a round. */
  readonly steps: number;
  /** The weight of a result. */
  readonly samples: number;
}

/** Trains from `start` to the end of the run; see `Trainer.trainParts`. */
export async function trainInParts(training: PartTraining, task: PartsTask, start: PartsStart): Promise<void> {
  const { engine, steps, samples } = training;
  const { plan, parts, done, rounds } = task;
  checkPlan(steps, plan);
  await engine.guide({});
  if (start.kind === 'state') await engine.loadState(start.dict);
  else {
    await engine.load(start.dict);
    engine.resetOptimizer();
  }
  // The segment whose part is on its way; of a model that was given, nothing is.
  let sent = start.kind === 'state' ? done : undefined;
  for (let segment = done + 1; segment <= rounds * plan.of; segment++) {
    const part = partOfSegment(segment, plan.of);
    if (part === 1 && training.settings.optimizerState === 'reset') engine.resetOptimizer();
    const trainLoss = await oneSegment(training, task, segment, sent);
    const model = await copied(partOf(engine.weights(), parts[part - 1] as ReadonlySet<string>));
    const own = segmentEnd(segment, plan.of, steps) - segmentEnd(segment - 1, plan.of, steps);
    const state = part === plan.of ? engine.saveState() : undefined;
    await task.send({ segment, model, samples, steps: own, trainLoss, state });
    sent = segment;
  }
}

/** The steps of a segment, with the merge that falls into it; returns their mean loss. */
async function oneSegment(training: PartTraining, task: PartsTask, segment: number, sent: number | undefined): Promise<number> {
  const { engine, batches, settings, steps } = training;
  const { plan, signal, rounds, onStep } = task;
  const first = segmentEnd(segment - 1, plan.of, steps) + 1;
  const end = segmentEnd(segment, plan.of, steps);
  let lossSum = 0;
  for (let step = first; step <= end; step++) {
    if (sent !== undefined && step === first + plan.overlap) await merge(training, task, sent);
    signal.throwIfAborted();
    const learningRate = learningRateAt(step, rounds * steps, settings);
    const { loss, targetTokens } = await engine.trainStep(batches.at(step), learningRate);
    lossSum += loss;
    onStep({ step, loss, learningRate, tokens: targetTokens });
  }
  if (sent !== undefined && end + 1 === first + plan.overlap) await merge(training, task, sent);
  return lossSum / (end - first + 1);
}

async function merge({ engine }: PartTraining, { plan, merge: wait }: PartsTask, segment: number): Promise<void> {
  const given = await wait(segment);
  try {
    await engine.merge(given, plan.alpha);
  } finally {
    await given.close?.();
  }
}

/** The steps of one part of a round, from and to. */
export function stepsOfPart(round: number, { part, of }: { readonly part: number; readonly of: number }, steps: number): [number, number] {
  const segment = (round - 1) * of + part;
  return [segmentEnd(segment - 1, of, steps) + 1, segmentEnd(segment, of, steps)];
}
