// A tiny model and a trainer of it, for tests of the trainer itself.
import type { Folder } from '../../src/core/storage.js';
import { startLlamaEngine } from '../../src/node/trainer/llama-host.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { builtInTrainer } from '../../src/trainer/built-in-trainer.js';
import type { Example } from '../../src/trainer/example.js';
import type { PlainLlamaConfig } from '../../src/trainer/llama/config.js';
import type { LlamaEngine } from '../../src/trainer/llama/engine.js';
import type { Trainer, TrainTask } from '../../src/trainer/trainer.js';
import { oneThreadEngine } from './one-thread.js';

export const TINY: PlainLlamaConfig = {
  hiddenSize: 10,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 6,
  ffnSize: 14,
  vocabularySize: 23,
  maxPositions: 16,
  tied: true,
  ropeTheta: 10_000,
  rmsEps: 1e-5,
  initializerRange: 0.2,
};

/** `weightDecay` is 0, so that nothing moves without a gradient. */
export function tinyEngine(threads = 1, weightDecay = 0): Promise<LlamaEngine> {
  const optimizer = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay, clipNorm: 1 };
  const start = threads === 1 ? oneThreadEngine : startLlamaEngine;
  return start({ config: TINY, size: { maxBatch: 2, maxSequence: 8, threads }, optimizer });
}

function examples(count: number, seed: number): Example[] {
  return Array.from({ length: count }, (_, i) => ({
    tokens: Int32Array.from({ length: 6 }, (_, j) => (seed + 5 * i + 3 * j) % TINY.vocabularySize),
    promptTokens: 2,
  }));
}

export interface TinyOptions {
  readonly stateFolder?: Folder;
  readonly run?: string;
  readonly threads?: number;
  readonly localSteps?: number;
  readonly localSeconds?: number;
}

/** A trainer with four samples. */
export async function tinyTrainer({ stateFolder, run, threads, localSteps = 3, localSeconds }: TinyOptions = {}): Promise<Trainer> {
  return builtInTrainer({
    engine: await tinyEngine(threads),
    settings: {
      localSteps,
      localSeconds,
      batchSize: 2,
      accumulate: 1,
      optimizerState: 'keep',
      learningRate: 0.01,
      schedule: 'constant',
      warmupSteps: 0,
    },
    seed: 5,
    padToken: 0,
    training: examples(4, 1),
    validation: examples(2, 7),
    stateFolder,
    run,
  });
}

/** The weights that a seed makes, in memory. */
export async function tinyModel(seed = 3): Promise<StateDict> {
  const engine = await tinyEngine();
  engine.initialize(seed);
  const model = await inMemory(engine.weights());
  await engine.close();
  return model;
}

export async function tensorsOf(model: StateDict): Promise<Map<string, Float32Array>> {
  const tensors = new Map<string, Float32Array>();
  for await (const { tensor, bytes } of model.chunks()) tensors.set(tensor.name, new Float32Array(bytes.slice().buffer));
  return tensors;
}

/** A copy of a float32 model, each value changed. */
export async function inMemory(model: StateDict, change = (value: number): number => value): Promise<StateDict> {
  const values = await tensorsOf(model);
  return memoryStateDict(
    model.manifest.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape, data: (values.get(name) as Float32Array).map(change) })),
  );
}

export function tinyTask(more: Partial<TrainTask> = {}): TrainTask {
  return { round: 1, rounds: 3, signal: new AbortController().signal, onStep: () => {}, ...more };
}
