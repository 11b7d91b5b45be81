// Starts the built-in trainer's engine on worker threads.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { FedStreamError } from '../../core/errors.js';
import type { ArenaSize } from '../../trainer/llama/arena.js';
import type { LlamaConfig } from '../../trainer/llama/config.js';
import { type LlamaEngine, startEngine, type ThreadPool } from '../../trainer/llama/engine.js';
import type { Command, ThreadInit } from '../../trainer/llama/thread.js';
import type { OptimizerSettings } from '../../trainer/llama/update.js';
import { builtFile, builtProgram } from '../built-file.js';

/** The model of an engine, its size in memory, and its optimizer. */
export interface LlamaEngineOptions {
  readonly config: LlamaConfig;
  readonly size: ArenaSize;
  readonly optimizer: OptimizerSettings;
}

/** Threads hold no tensors of their own: all are in the shared memory. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8, stackSizeMb: 1 };

/** Starts an engine with threads of its own; close it to end them. */
export async function startLlamaEngine(options: LlamaEngineOptions): Promise<LlamaEngine> {
  const module = await WebAssembly.compile(readFileSync(builtFile('wasm/llama.wasm')));
  return startEngine({ ...options, module, startThreads });
}

async function startThreads(init: Omit<ThreadInit, 'index'>): Promise<ThreadPool> {
  const program = builtProgram('llama-worker');
  const workers = Array.from({ length: init.size.threads }, (_, index) => {
    const worker = new Worker(program, { workerData: { ...init, index } satisfies ThreadInit, resourceLimits: WORKER_LIMITS });
    worker.unref();
    return worker;
  });
  return new WorkerPool(workers);
}

class WorkerPool implements ThreadPool {
  readonly #workers: readonly Worker[];
  #failure: Error | undefined;
  #waiting: { resolve(): void; reject(error: Error): void; left: number } | undefined;

  constructor(workers: readonly Worker[]) {
    this.#workers = workers;
    for (const worker of workers) {
      worker.on('message', () => this.#finished());
      worker.on('error', (cause) => this.#fail(new FedStreamError('internal', `a training thread failed: ${cause.message}`, { cause })));
    }
  }

  run(command: Command): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      // The process must not end during a training step, even if it has nothing else to do.
      for (const worker of this.#workers) worker.ref();
      this.#waiting = { resolve, reject, left: this.#workers.length };
      for (const worker of this.#workers) worker.postMessage(command);
    });
  }

  async close(): Promise<void> {
    this.#fail(new FedStreamError('closed', 'the trainer was closed'));
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #finished(): void {
    const waiting = this.#waiting;
    if (!waiting || --waiting.left > 0) return;
    this.#waiting = undefined;
    for (const worker of this.#workers) worker.unref();
    waiting.resolve();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
