// A trainer that is a program of the site's own: models go to it and come back as files, everything else over the bridge.
import { FedStreamError } from '../../core/errors.js';
import type { Folder } from '../../core/storage.js';
import { openSafetensors, writeSafetensors } from '../../tensor/safetensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { Metrics, Offer, TaskProgress, Trainer, TrainResult, TrainTask } from '../trainer.js';
import { fittingResult } from './check-result.js';
import type { BridgeResult, BridgeTask } from './messages.js';
import type { StartProgram } from './program.js';
import { type RunningOptions, RunningProgram, type TaskListener } from './running-program.js';

export interface ProcessTrainerOptions extends RunningOptions {
  readonly start: StartProgram;
  /** Where model files are exchanged; emptied when the trainer closes. */
  readonly exchange: Folder;
  /** The absolute path of a file in `exchange`. */
  pathOf(name: string): string;
}

/** Starts its program with the first task, and anew with the next one after it failed. */
export function processTrainer(options: ProcessTrainerOptions): Trainer {
  return new ProcessTrainer(options);
}

class ProcessTrainer implements Trainer {
  /** One exchange of the model serves both. */
  readonly evaluatesInTraining = true;
  readonly #options: ProcessTrainerOptions;
  #running: RunningProgram | undefined;

  constructor(options: ProcessTrainerOptions) {
    this.#options = options;
  }

  async offer(signal: AbortSignal): Promise<Offer> {
    const { label, job, exchange } = this.#options;
    const file = 'offer.safetensors';
    const task = { type: 'task', id: 'offer', kind: 'offer', round: 0, rounds: job.rounds, result: this.#options.pathOf(file) } as const;
    const result = await this.#ask(task, signal, { onStep: () => {}, onSign: () => {} });
    const model = await this.#open(file);
    if (model.manifest.tensors.length === 0) throw new FedStreamError('trainer', `${label} offers a model without tensors`);
    const files = Object.fromEntries(Object.entries(result.files).filter((entry): entry is [string, string] => entry[1] !== undefined));
    return { model: removedWhenClosed(model, exchange, file), files };
  }

  async train(task: TrainTask, model: StateDict): Promise<TrainResult> {
    const { label, exchange, pathOf } = this.#options;
    const { round, rounds, signal } = task;
    const given = `model-${round}.safetensors`;
    const file = `result-${round}.safetensors`;
    await writeSafetensors(exchange, given, model, { durable: false });
    try {
      const asked: BridgeTask = {
        type: 'task',
        id: `train-${round}`,
        kind: 'train',
        round,
        rounds,
        model: pathOf(given),
        result: pathOf(file),
      };
      const result = await this.#ask(asked, signal, { onStep: task.onStep, onSign: () => task.onSign?.() });
      const { samples, steps, trainLoss, evaluation, metrics } = complete(result, label);
      const trained = await this.#open(file);
      try {
        const fitting = fittingResult(trained, model.manifest, label);
        return { model: removedWhenClosed(fitting, exchange, file), samples, steps, trainLoss, evaluation, metrics };
      } catch (error) {
        await trained.close?.();
        throw error;
      }
    } catch (error) {
      await exchange.remove(file);
      throw error;
    } finally {
      await exchange.remove(given);
    }
  }

  async evaluate(model: StateDict, signal: AbortSignal, progress?: TaskProgress): Promise<Metrics | undefined> {
    const { job, exchange, pathOf } = this.#options;
    const { round = 0, rounds = job.rounds } = progress ?? {};
    const given = `evaluate-${round}.safetensors`;
    await writeSafetensors(exchange, given, model, { durable: false });
    try {
      const task: BridgeTask = { type: 'task', id: `evaluate-${round}`, kind: 'evaluate', round, rounds, model: pathOf(given) };
      const result = await this.#ask(task, signal, { onStep: () => {}, onSign: () => progress?.onSign?.() });
      return result.evaluation;
    } finally {
      await exchange.remove(given);
    }
  }

  async close(reason = 'the site stops'): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop(reason);
    for (const name of await this.#options.exchange.list()) await this.#options.exchange.remove(name);
  }

  async #ask(task: BridgeTask, signal: AbortSignal, listener: TaskListener): Promise<BridgeResult> {
    signal.throwIfAborted();
    this.#running ??= new RunningProgram(await this.#options.start(), this.#options);
    const running = this.#running;
    try {
      return await running.ask(task, signal, listener);
    } catch (error) {
      this.#running = undefined;
      throw error;
    }
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

/** What a result of training needs beyond its task. */
function complete(result: BridgeResult, label: string) {
  const { samples, steps = 0, trainLoss, evaluation, metrics } = result;
  if (samples === undefined || trainLoss === undefined)
    throw new FedStreamError('trainer', `${label} sent a result without ${samples === undefined ? 'samples' : 'trainLoss'}`);
  return { samples, steps, trainLoss, evaluation, metrics };
}

function removedWhenClosed(model: StateDict, folder: Folder, file: string): StateDict {
  const close = async (): Promise<void> => {
    await model.close?.();
    await folder.remove(file);
  };
  return { manifest: model.manifest, stored: model.stored, chunks: (range) => model.chunks(range), close };
}
