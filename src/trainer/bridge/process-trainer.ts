// A trainer that is a program of the site: models are exchanged as files, the rest over the bridge.
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { openSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { Fingerprints } from '../fingerprints.js';
import { type IdentifyModel, withoutPaths } from '../offered-texts.js';
import type { Metrics, Offer, PartsStart, PartsTask, TaskProgress, Trainer, TrainResult, TrainTask } from '../trainer.js';
import type { About } from './bridge-session.js';
import { checkTies, fittingResult } from './check-result.js';
import { openExtras, removeAll, removedWhenClosed, writeExtras } from './exchange-files.js';
import { GivenFiles } from './given-file.js';
import { type BridgeResult, type BridgeTask, numbersSchema } from './messages.js';
import { processParts } from './process-parts.js';
import type { StartProgram } from './program.js';
import { type RunningOptions, RunningProgram, type TaskListener } from './running-program.js';

/** Options of a trainer that is a program. */
export interface ProcessTrainerOptions extends RunningOptions {
  readonly start: StartProgram;
  /** The folder of exchanged model files; emptied when the trainer closes. */
  readonly exchange: Folder;
  /** The absolute path of a file in `exchange`. */
  pathOf(name: string): string;
  /** Identifies the base of an offered adapter that lies on this machine. */
  readonly identify?: IdentifyModel;
}

/** Makes a trainer that starts its program with the first task, and again after it has failed. */
export function processTrainer(options: ProcessTrainerOptions): Trainer {
  return new ProcessTrainer(options);
}

class ProcessTrainer implements Trainer {
  /** The model is handed over once for both. */
  readonly evaluatesInTraining = true;
  readonly #options: ProcessTrainerOptions;
  readonly #given: GivenFiles;
  #running: RunningProgram | undefined;

  constructor(options: ProcessTrainerOptions) {
    this.#options = options;
    this.#given = new GivenFiles(options.exchange, options.label);
  }

  async offer(signal: AbortSignal): Promise<Offer> {
    const { label, job, exchange, identify } = this.#options;
    const file = 'offer.safetensors';
    const task = { type: 'task', id: 'offer', kind: 'offer', round: 0, rounds: job.rounds, result: this.#options.pathOf(file) } as const;
    const result = await this.#ask(task, signal, { onStep: () => {}, onProgress: () => {} });
    this.#withoutExtras(result);
    const texts = Object.entries(result.files).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const files = await withoutPaths(Object.fromEntries(texts), identify);
    const model = await this.#open(file);
    if (model.manifest.tensors.length === 0) throw new FedStreamError('trainer', `${label} offers a model without tensors`);
    return { model: removedWhenClosed(model, exchange, file), files };
  }

  async train(task: TrainTask, model: StateDict): Promise<TrainResult> {
    const { exchange, pathOf } = this.#options;
    const { round, rounds, signal } = task;
    signal.throwIfAborted();
    const given = `model-${round}.safetensors`;
    const file = `result-${round}.safetensors`;
    // A crash may have left files of the same round, or parts of them.
    await removeAll(exchange, file);
    try {
      const extras = await writeExtras(exchange, given, task.extras);
      const asked: BridgeTask = {
        type: 'task',
        id: `train-${round}`,
        kind: 'train',
        round,
        rounds,
        model: pathOf(given),
        result: pathOf(file),
        extras: extras && Object.fromEntries(extras.map(([name, extra]) => [name, pathOf(extra)])),
        figures: checkedFigures(task.figures),
      };
      const listener = { onStep: task.onStep, onProgress: () => task.onProgress?.() };
      const result = await this.#given.while(given, model, () => this.#ask(asked, signal, listener));
      return await this.#trained(file, result, model);
    } catch (error) {
      await removeAll(exchange, file);
      throw error;
    } finally {
      await removeAll(exchange, given);
    }
  }

  async trainParts(task: PartsTask, start: PartsStart): Promise<void> {
    const { label, exchange, pathOf } = this.#options;
    await this.#withProgram(task.signal, (running) => processParts({ running, label, exchange, pathOf }, task, start));
  }

  async fingerprints(signal: AbortSignal, progress?: TaskProgress): Promise<Fingerprints> {
    return (await this.#about(signal, progress)).fingerprints;
  }

  async knows(signal: AbortSignal, progress?: TaskProgress): Promise<readonly string[] | undefined> {
    return (await this.#about(signal, progress)).knows;
  }

  #about(signal: AbortSignal, progress?: TaskProgress): Promise<About> {
    const listener = { onStep: () => {}, onProgress: () => progress?.onProgress?.() };
    return this.#withProgram(signal, (running) => running.about(progress?.round ?? 1, signal, listener));
  }

  async evaluate(model: StateDict, signal: AbortSignal, progress?: TaskProgress): Promise<Metrics | undefined> {
    const { job, exchange, pathOf } = this.#options;
    const { round = 0, rounds = job.rounds } = progress ?? {};
    const given = `evaluate-${round}.safetensors`;
    try {
      const extras = await writeExtras(exchange, given, progress?.extras);
      const task: BridgeTask = {
        type: 'task',
        id: `evaluate-${round}`,
        kind: 'evaluate',
        round,
        rounds,
        model: pathOf(given),
        extras: extras && Object.fromEntries(extras.map(([name, extra]) => [name, pathOf(extra)])),
      };
      const listener = { onStep: () => {}, onProgress: () => progress?.onProgress?.() };
      const result = await this.#given.while(given, model, () => this.#ask(task, signal, listener));
      this.#withoutExtras(result);
      return result.evaluation;
    } finally {
      await removeAll(exchange, given);
    }
  }

  async close(reason = 'the site stops'): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop(reason);
    for (const name of await this.#options.exchange.list()) await this.#options.exchange.remove(name);
  }

  async #ask(task: BridgeTask, signal: AbortSignal, listener: TaskListener): Promise<BridgeResult> {
    return this.#withProgram(signal, (running) => running.ask(task, signal, listener));
  }

  /** Starts the program where none runs; one that has failed is started anew by the next call. */
  async #withProgram<T>(signal: AbortSignal, work: (running: RunningProgram) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    this.#running ??= new RunningProgram(await this.#options.start(), this.#options);
    try {
      return await work(this.#running);
    } catch (error) {
      this.#running = undefined;
      throw error;
    }
  }

  /** Checks and opens the files that the program has written; leaves nothing open on an error. */
  async #trained(file: string, result: BridgeResult, given: StateDict): Promise<TrainResult> {
    const { label, exchange } = this.#options;
    const figures = complete(result, label);
    const trained = await this.#open(file);
    try {
      const fitting = fittingResult(trained, given.manifest, label);
      await checkTies(trained, given.manifest, label);
      const model = removedWhenClosed(fitting, exchange, file);
      return { model, ...figures, extras: await openExtras(exchange, file, result.extras, label) };
    } catch (error) {
      await trained.close?.();
      throw error;
    }
  }

  #withoutExtras({ task, extras }: BridgeResult): void {
    if (extras.length > 0)
      throw new FedStreamError('trainer', `${this.#options.label} answered ${task} with extras; only a task of training has them`);
  }

  async #open(file: string): Promise<StateDict> {
    const { exchange, label } = this.#options;
    try {
      return await openSafetensors(exchange, file);
    } catch (cause) {
      throw new FedStreamError('trainer', `${label} has no readable result: ${(cause as Error).message}`, { cause });
    }
  }
}

/** The figures of a training result; throws `trainer` if one is missing. */
function complete(result: BridgeResult, label: string) {
  const { samples, steps = 0, trainLoss, evaluation, metrics } = result;
  if (samples === undefined || trainLoss === undefined)
    throw new FedStreamError('trainer', `${label} sent a result without ${samples === undefined ? 'samples' : 'trainLoss'}`);
  return { samples, steps, trainLoss, evaluation, metrics };
}

/** Throws `bad-argument` for a figure that is not a finite number, since JSON has no others. */
function checkedFigures(figures: TrainTask['figures']): TrainTask['figures'] {
  const wrong = figures && numbersSchema.safeParse(figures).error?.issues[0];
  if (!wrong) return figures;
  throw new FedStreamError(
    'bad-argument',
    `the task's figures cannot be handed over: ${['figures', ...wrong.path].join('.')}: ${wrong.message}`,
  );
}
