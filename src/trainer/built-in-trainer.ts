// The built-in trainer: supervised fine-tuning of a Llama model, for sites and for `fedstream
// train`.
import { FedStreamError } from '../core/errors.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import { openSafetensors, writeSafetensors } from '../tensor/safetensors.js';
import { type StateDict, withManifest } from '../tensor/state-dict.js';
import { ControlVariates } from './control-variates.js';
import { type Batches, evaluationBatches, trainingBatches } from './data/batches.js';
import type { Example } from './example.js';
import type { Fingerprints } from './fingerprints.js';
import type { LlamaEngine } from './llama/engine.js';
import { learningRateAt, type ScheduleSettings } from './llama/schedule.js';
import type { Metrics, Offer, Trainer, TrainResult, TrainTask } from './trainer.js';

/** Settings of training, from the job. */
export interface TrainSettings extends ScheduleSettings {
  /** Optimizer steps in each round; without it, passes over the data count. */
  readonly localSteps?: number;
  readonly localEpochs?: number;
  readonly batchSize: number;
  readonly accumulate: number;
  readonly optimizerState: 'keep' | 'reset';
}

/** Options of the built-in trainer. */
export interface BuiltInTrainerOptions {
  readonly engine: LlamaEngine;
  readonly settings: TrainSettings;
  readonly seed: number;
  readonly padToken: number;
  readonly training: readonly Example[];
  readonly validation: readonly Example[];
  /**
   * Keeps the optimizer's state and the control variate between rounds; without it, they live only
   * as long as the process.
   */
  readonly stateFolder?: Folder;
  /** The run's id: a control variate or an optimizer's state of another run is not used. */
  readonly run?: string;
  /** Those of the model folder that the trainer was made from. */
  readonly fingerprints?: Fingerprints;
}

/**
 * The one extra that the trainer knows, the control variate of SCAFFOLD: the server's comes with a
 * task, the change of the site's own goes with the result.
 */
const CONTROL = 'control';
/** The key of a file's metadata that holds the run's id. */
const RUN = 'fedstream.run';

/** Makes a trainer over an engine, which it closes. */
export function builtInTrainer(options: BuiltInTrainerOptions): Trainer {
  return new BuiltInTrainer(options);
}

class BuiltInTrainer implements Trainer {
  readonly #options: BuiltInTrainerOptions;
  readonly #batches: Batches | undefined;
  readonly #controls: ControlVariates;
  readonly #run: string;
  /** The round at whose end the optimizer in memory stands; 0 if at none. */
  #optimizerRound = 0;

  constructor(options: BuiltInTrainerOptions) {
    const { training, settings, seed, padToken } = options;
    this.#options = options;
    this.#run = options.run ?? '';
    this.#controls = new ControlVariates(options.stateFolder ?? memoryFolder(), this.#run);
    const { batchSize, accumulate } = settings;
    this.#batches = training.length === 0 ? undefined : trainingBatches(training, { batchSize, accumulate, seed, padToken });
  }

  async train(task: TrainTask, model: StateDict): Promise<TrainResult> {
    const { engine, training } = this.#options;
    const batches = this.#batches;
    if (!batches) throw new FedStreamError('bad-data', 'this trainer has no training data');
    task.signal.throwIfAborted();
    const { mu, control } = wishes(task);
    await engine.load(model);
    await this.#prepareOptimizer(task.round);
    const own = control && (await this.#controls.before(task.round));
    try {
      await engine.guide({ mu, control, own });
      // A round that is cut short leaves the optimizer at the end of no round.
      this.#optimizerRound = 0;
      const steps = this.#stepsOf(batches);
      const trainLoss = await this.#steps(task, batches, steps);
      this.#optimizerRound = task.round;
      await this.#saveOptimizer(task.round);
      const result = { model: engine.weights(), samples: training.length, steps, trainLoss };
      if (!control) return result;
      await this.#controls.keep(task.round, engine.meanGradient(steps));
      return { ...result, extras: { [CONTROL]: await this.#controls.change(task.round, own) } };
    } catch (error) {
      await own?.close?.();
      throw error;
    }
  }

  samplesIn(round: number): number {
    const batches = this.#batches;
    return batches ? batches.samplesIn((round - 1) * this.#stepsOf(batches) + 1, this.#stepsOf(batches)) : 0;
  }

  /** Optimizer steps of a round. */
  #stepsOf({ stepsPerEpoch }: Batches): number {
    const { localSteps, localEpochs = 1 } = this.#options.settings;
    return localSteps ?? stepsPerEpoch * localEpochs;
  }

  /** Does the steps of a round; returns their mean loss. */
  async #steps(task: TrainTask, batches: Batches, steps: number): Promise<number> {
    const { engine, settings } = this.#options;
    let lossSum = 0;
    for (let i = 1; i <= steps; i++) {
      task.signal.throwIfAborted();
      // Steps count over the whole run, so that schedule and order of data go on after each round.
      const step = (task.round - 1) * steps + i;
      const learningRate = learningRateAt(step, task.rounds * steps, settings);
      const { loss, targetTokens } = await engine.trainStep(batches.at(step), learningRate);
      lossSum += loss;
      task.onStep({ step, loss, learningRate, tokens: targetTokens });
    }
    return lossSum / steps;
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

  /** The weights that the seed makes, for a job that describes its model by sizes. */
  async offer(): Promise<Offer> {
    const { engine, seed } = this.#options;
    engine.initialize(seed);
    this.#optimizerRound = 0;
    return { model: engine.weights(), files: {} };
  }

  async fingerprints(): Promise<Fingerprints> {
    return this.#options.fingerprints ?? {};
  }

  close(): Promise<void> {
    return this.#options.engine.close();
  }

  /**
   * Keeps the state in memory for the round after the last; loads it from the folder after a
   * restart.
   */
  async #prepareOptimizer(round: number): Promise<void> {
    const { engine, settings, stateFolder } = this.#options;
    if (settings.optimizerState === 'keep' && round > 1) {
      if (this.#optimizerRound === round - 1) return;
      const name = stateFile(round - 1);
      if (stateFolder && (await stateFolder.sizeBytes(name)) !== undefined) {
        const state = await openSafetensors(stateFolder, name);
        const own = state.manifest.metadata[RUN] === this.#run;
        if (own) await engine.loadOptimizer(state);
        await state.close?.();
        if (own) return;
      }
    }
    engine.resetOptimizer();
  }

  /** Keeps the states of the last two rounds, since a resumed run may repeat the last one. */
  async #saveOptimizer(round: number): Promise<void> {
    const { engine, settings, stateFolder } = this.#options;
    if (settings.optimizerState !== 'keep' || !stateFolder) return;
    const state = engine.saveOptimizer();
    const bound = withManifest(state, { ...state.manifest, metadata: { ...state.manifest.metadata, [RUN]: this.#run } });
    await writeSafetensors(stateFolder, stateFile(round), bound);
    await stateFolder.remove(stateFile(round - 2));
  }
}

/**
 * The weight of the proximal term and the control variate that a task brings. Throws `bad-argument`
 * for a negative `mu`, `unsupported` for an extra that the trainer does not know.
 */
function wishes({ extras = {}, figures = {} }: TrainTask): { mu: number; control: StateDict | undefined } {
  const unknown = Object.keys(extras).find((name) => name !== CONTROL);
  if (unknown !== undefined)
    throw new FedStreamError('unsupported', `the built-in trainer has no use for the extra ${unknown}; it knows ${CONTROL}`);
  const { mu = 0 } = figures;
  if (!Number.isFinite(mu) || mu < 0)
    throw new FedStreamError('bad-argument', `mu is ${mu}; the weight of the proximal term is at least 0`);
  return { mu, control: extras[CONTROL] };
}

function stateFile(round: number): string {
  return `optimizer-${round}.safetensors`;
}
