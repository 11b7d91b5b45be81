// The built-in trainer: supervised fine-tuning of a Llama model, for sites and for `fedstream
// train`.
import { FedStreamError } from '../core/errors.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Folder } from '../core/storage.js';
import type { StateDict } from '../tensor/state-dict.js';
import { ControlVariates } from './control-variates.js';
import { type Batches, evaluationBatches, trainingBatches } from './data/batches.js';
import type { TextCounts } from './data/text-counts.js';
import type { Example } from './example.js';
import type { Fingerprints } from './fingerprints.js';
import type { LlamaEngine } from './llama/engine.js';
import { learningRateAt, type ScheduleSettings } from './llama/schedule.js';
import { type LengthSettings, mostSteps, untilSeconds } from './local-steps.js';
import { stepsOfPart, trainInParts } from './part-training.js';
import { PersonalModels } from './personal-models.js';
import { RoundStates } from './round-states.js';
import type { Statistics, StatisticsWish } from './statistics.js';
import type { Metrics, Offer, PartsStart, PartsTask, Segment, Trainer, TrainResult, TrainTask } from './trainer.js';

/** Settings of training, from the job. */
export interface TrainSettings extends ScheduleSettings, LengthSettings {
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
  /** Counts of the texts that the examples were made from. */
  readonly counts?: TextCounts;
  /** Those of the model folder that the trainer was made from. */
  readonly fingerprints?: Fingerprints;
}

/**
 * The one extra that the trainer knows, the control variate of SCAFFOLD: the server's comes with a
 * task, the change of the site's own goes with the result.
 */
const CONTROL = 'control';
/** What the trainer knows beyond plain training. */
const KNOWN = ['mu', 'parts', 'personal', CONTROL];

/** Makes a trainer over an engine, which it closes. */
export function builtInTrainer(options: BuiltInTrainerOptions): Trainer {
  return new BuiltInTrainer(options);
}

class BuiltInTrainer implements Trainer {
  readonly #options: BuiltInTrainerOptions;
  readonly #batches: Batches | undefined;
  readonly #controls: ControlVariates;
  readonly #optimizers: RoundStates | undefined;
  readonly #personal: PersonalModels;
  /** The round at whose end the optimizer in memory stands; 0 if at none. */
  #optimizerRound = 0;

  constructor(options: BuiltInTrainerOptions) {
    const { training, settings, seed, padToken, stateFolder, run = '' } = options;
    this.#options = options;
    const folder = stateFolder ?? memoryFolder();
    this.#controls = new ControlVariates(folder, run);
    this.#personal = new PersonalModels(folder, run);
    this.#optimizers = stateFolder && new RoundStates(stateFolder, 'optimizer', run);
    const { batchSize, accumulate } = settings;
    this.#batches = training.length === 0 ? undefined : trainingBatches(training, { batchSize, accumulate, seed, padToken });
  }

  async train(task: TrainTask, model: StateDict): Promise<TrainResult> {
    const { engine, training } = this.#options;
    const batches = this.#batches;
    if (!batches) throw new FedStreamError('bad-data', 'this trainer has no training data');
    task.signal.throwIfAborted();
    const { mu, lambda, control } = wishes(task);
    const personal = lambda === undefined ? undefined : await this.#trainPersonal(task, batches, model, lambda);
    await engine.load(model);
    await this.#prepareOptimizer(task.round);
    const own = control && (await this.#controls.before(task.round));
    try {
      await engine.guide({ mu, control, own });
      // A round that is cut short leaves the optimizer at the end of no round.
      this.#optimizerRound = 0;
      const { steps, trainLoss } = await this.#steps(task, batches, task.onStep);
      this.#optimizerRound = task.round;
      await this.#saveOptimizer(task.round);
      const result = { model: engine.weights(), samples: training.length, steps, trainLoss, ...(personal && { personal }) };
      if (!control) return result;
      await this.#controls.keep(task.round, engine.meanGradient(steps));
      return { ...result, extras: { [CONTROL]: await this.#controls.change(task.round, own) } };
    } catch (error) {
      await own?.close?.();
      throw error;
    }
  }

  async trainParts(task: PartsTask, start: PartsStart): Promise<void> {
    const { engine, training, settings } = this.#options;
    const batches = this.#batches;
    if (!batches) throw new FedStreamError('bad-data', 'this trainer has no training data');
    task.signal.throwIfAborted();
    this.#optimizerRound = 0;
    const steps = mostSteps(settings, batches.stepsPerEpoch);
    await trainInParts({ engine, batches, settings, steps, samples: training.length }, task, start);
  }

  samplesIn(round: number, steps?: number | Segment): number {
    const batches = this.#batches;
    if (!batches) return 0;
    const most = mostSteps(this.#options.settings, batches.stepsPerEpoch);
    if (typeof steps !== 'object') return batches.samplesIn((round - 1) * most + 1, Math.min(most, steps ?? most));
    const [first, last] = stepsOfPart(round, steps, most);
    return batches.samplesIn(first, last - first + 1);
  }

  /** Does the steps of a round, as many as its time allows; returns their number and mean loss. */
  async #steps(task: TrainTask, batches: Batches, onStep: TrainTask['onStep']): Promise<{ steps: number; trainLoss: number }> {
    const { engine, settings } = this.#options;
    const most = mostSteps(settings, batches.stepsPerEpoch);
    const isOver = untilSeconds(settings);
    let lossSum = 0;
    let steps = 0;
    while (steps < most && (steps === 0 || !isOver())) {
      task.signal.throwIfAborted();
      // Steps count over the whole run, so that schedule and order of data go on after each round; a
      // round that the clock ends leaves out the rest of its own.
      const step = (task.round - 1) * most + ++steps;
      const learningRate = learningRateAt(step, task.rounds * most, settings);
      const { loss, targetTokens } = await engine.trainStep(batches.at(step), learningRate);
      lossSum += loss;
      onStep({ step, loss, learningRate, tokens: targetTokens });
    }
    return { steps, trainLoss: lossSum / steps };
  }

  /** Trains and keeps the personal model; returns its figures where there are held-out data. */
  async #trainPersonal(task: TrainTask, batches: Batches, global: StateDict, lambda: number): Promise<Metrics | undefined> {
    const { engine, settings } = this.#options;
    const keeps = settings.optimizerState === 'keep';
    // The engine's optimizer is the personal model's from here on.
    this.#optimizerRound = 0;
    await this.#personal.load(engine, task.round, global, lambda, keeps);
    await this.#steps(task, batches, () => task.onProgress?.());
    await this.#personal.keep(engine, task.round, keeps);
    return this.#figures(task.signal);
  }

  /** The result of that round was not taken, so the server has not added what has changed of `cᵢ`. */
  forget(round: number): Promise<void> {
    return this.#controls.drop(round);
  }

  async evaluate(model: StateDict, signal: AbortSignal): Promise<Metrics | undefined> {
    if (this.#options.validation.length === 0) return undefined;
    await this.#options.engine.load(model);
    return this.#figures(signal);
  }

  /** Figures of the model that is loaded. */
  async #figures(signal: AbortSignal): Promise<Metrics | undefined> {
    const { engine, validation, settings, padToken } = this.#options;
    if (validation.length === 0) return undefined;
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

  async knows(): Promise<readonly string[]> {
    return [...KNOWN, ...(this.#options.validation.length > 0 ? ['evaluation'] : [])];
  }

  async fingerprints(): Promise<Fingerprints> {
    return this.#options.fingerprints ?? {};
  }

  async statistics(wish: StatisticsWish): Promise<Statistics> {
    const { counts, training, validation } = this.#options;
    if (!counts) throw new FedStreamError('unsupported', 'this trainer has counted no texts');
    return counts.statistics(wish, [...training, ...validation]);
  }

  close(): Promise<void> {
    return this.#options.engine.close();
  }

  /**
   * The state at the end of the last round before, from memory, or from the folder after a restart;
   * the site may have had no part in the rounds between.
   */
  async #prepareOptimizer(round: number): Promise<void> {
    const { engine, settings } = this.#options;
    if (settings.optimizerState !== 'keep') return engine.resetOptimizer();
    const inMemory = this.#optimizerRound;
    const kept = await this.#optimizers?.before(round);
    try {
      if (inMemory > 0 && inMemory < round && inMemory >= (kept?.round ?? 0)) return;
      if (kept) await engine.loadOptimizer(kept.state);
      else engine.resetOptimizer();
    } finally {
      await kept?.state.close?.();
    }
  }

  async #saveOptimizer(round: number): Promise<void> {
    const { engine, settings } = this.#options;
    if (settings.optimizerState === 'keep') await this.#optimizers?.keep(round, engine.saveOptimizer());
  }
}

/**
 * The weights of the proximal terms of the model and of a personal one, and the control variate that
 * a task brings. Throws `bad-argument` for a negative `mu` or `lambda`, `unsupported` for an extra
 * that the trainer does not know.
 */
function wishes({ extras = {}, figures = {} }: TrainTask): { mu: number; lambda: number | undefined; control: StateDict | undefined } {
  const unknown = Object.keys(extras).find((name) => name !== CONTROL);
  if (unknown !== undefined)
    throw new FedStreamError('unsupported', `the built-in trainer has no use for the extra ${unknown}; it knows ${CONTROL}`);
  const { mu = 0, lambda } = figures;
  for (const [name, weight] of Object.entries({ mu, lambda: lambda ?? 0 }))
    if (!Number.isFinite(weight) || weight < 0)
      throw new FedStreamError('bad-argument', `${name} is ${weight}; the weight of the proximal term is at least 0`);
  return { mu, lambda, control: extras[CONTROL] };
}
