// The built-in trainer: supervised fine-tuning of a Llama model, as a site runs it and as `fedstream train` does.
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type Batches, evaluationBatches, trainingBatches } from './data/batches.js';
import type { Example } from './example.js';
import type { LlamaEngine } from './llama/engine.js';
import { learningRateAt, type ScheduleSettings } from './llama/schedule.js';
import type { Metrics, Offer, Trainer, TrainResult, TrainTask } from './trainer.js';

export interface TrainSettings extends ScheduleSettings {
  /** Optimizer steps a round; without it, passes over the data. */
  readonly localSteps?: number;
  readonly localEpochs?: number;
  readonly batchSize: number;
  readonly accumulate: number;
  readonly optimizerState: 'keep' | 'reset';
}

export interface BuiltInTrainerOptions {
  readonly engine: LlamaEngine;
  readonly settings: TrainSettings;
  readonly seed: number;
  readonly padToken: number;
  readonly training: readonly Example[];
  readonly validation: readonly Example[];
  /** Where the optimizer's state waits between rounds; without it, it lives only as long as the process. */
  readonly stateFolder?: Folder;
}

/** A trainer over an engine that it owns. */
export function builtInTrainer(options: BuiltInTrainerOptions): Trainer {
  return new BuiltInTrainer(options);
}

class BuiltInTrainer implements Trainer {
  readonly #options: BuiltInTrainerOptions;
  readonly #batches: Batches | undefined;
  /** The round whose end the optimizer in memory stands at. */
  #optimizerRound = 0;

  constructor(options: BuiltInTrainerOptions) {
    const { training, settings, seed, padToken } = options;
    this.#options = options;
    const { batchSize, accumulate } = settings;
    this.#batches = training.length === 0 ? undefined : trainingBatches(training, { batchSize, accumulate, seed, padToken });
  }

  async train(task: TrainTask, model: StateDict): Promise<TrainResult> {
    const { engine, training, settings } = this.#options;
    const batches = this.#batches;
    if (!batches) throw new FedStreamError('bad-data', 'this trainer has no training data');
    await engine.load(model);
    await this.#prepareOptimizer(task.round);
    const steps = settings.localSteps ?? batches.stepsPerEpoch * (settings.localEpochs ?? 1);
    let lossSum = 0;
    for (let i = 1; i <= steps; i++) {
      task.signal.throwIfAborted();
      // Counted over the whole run: schedule and order of data go on where the last round ended.
      const step = (task.round - 1) * steps + i;
      const learningRate = learningRateAt(step, task.rounds * steps, settings);
      const { loss, targetTokens } = await engine.trainStep(batches.at(step), learningRate);
      lossSum += loss;
      task.onStep({ step, loss, learningRate, tokens: targetTokens });
    }
    this.#optimizerRound = task.round;
    await this.#saveOptimizer(task.round);
    return { model: engine.weights(), samples: training.length, steps, trainLoss: lossSum / steps };
  }

  async evaluate(model: StateDict, signal: AbortSignal): Promise<Metrics | undefined> {
    const { engine, validation, settings, padToken } = this.#options;
    if (validation.length === 0) return undefined;
    await engine.load(model);
    let lossSum = 0;
    let targets = 0;
    let exact = 0;
    for (const batch of evaluationBatches(validation, settings.batchSize, padToken)) {
      signal.throwIfAborted();
      const result = await engine.evaluate(batch);
      lossSum += result.lossSum;
      targets += result.targetTokens;
      exact += result.exact.filter(Boolean).length;
    }
    return { loss: lossSum / targets, exactMatch: exact / validation.length, samples: validation.length };
  }

  /** The weights that the seed makes: what a job begins with that describes a model by its sizes. */
  async offer(): Promise<Offer> {
    const { engine, seed } = this.#options;
    engine.initialize(seed);
    this.#optimizerRound = 0;
    return { model: engine.weights(), files: {} };
  }

  close(): Promise<void> {
    return this.#options.engine.close();
  }

  /** A round that follows the last one goes on in memory; after a restart the state comes from the folder. */
  async #prepareOptimizer(round: number): Promise<void> {
    const { engine, settings, stateFolder } = this.#options;
    if (settings.optimizerState === 'keep' && round > 1) {
      if (this.#optimizerRound === round - 1) return;
      const name = stateFile(round - 1);
      if (stateFolder && (await stateFolder.sizeBytes(name)) !== undefined) {
        const state = await openSafetensors(stateFolder, name);
        await engine.loadOptimizer(state);
        await state.close?.();
        return;
      }
    }
    engine.resetOptimizer();
  }

  /** The last two rounds are kept: a run that goes on may do the last one again. */
  async #saveOptimizer(round: number): Promise<void> {
    const { engine, settings, stateFolder } = this.#options;
    if (settings.optimizerState !== 'keep' || !stateFolder) return;
    await writeSafetensors(stateFolder, stateFile(round), engine.saveOptimizer());
    await stateFolder.remove(stateFile(round - 2));
  }
}

function stateFile(round: number): string {
  return `optimizer-${round}.safetensors`;
}
