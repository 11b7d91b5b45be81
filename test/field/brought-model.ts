// Writes a model folder as somebody brings it, and trains the model in it: what the table of models
// for the built-in trainer runs.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomStream } from '../../src/core/random.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import type { Dtype } from '../../src/tensor/dtype.js';
import { type MemoryTensor, memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { openModel } from '../../src/tensor/model-folder.js';
import { writeSafetensors } from '../../src/tensor/safetensors.js';
import { narrowInto } from '../../src/tensor/widen.js';
import { parseLlamaConfig } from '../../src/trainer/llama/config.js';
import { EMBEDDING, HEAD, llamaParameters } from '../../src/trainer/llama/parameters.js';
import { checkPositions, longSamplesWarning } from '../../src/trainer/llama/positions.js';
import { referenceLoss } from '../../src/trainer/llama/reference.js';
import { oneThreadEngine } from '../trainer/one-thread.js';

/** A model, as it differs from a small Llama. */
export interface BroughtModel {
  /** Fields of config.json; undefined leaves one out. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly dtype?: Dtype;
  /** Tokens of the longest sample; 12 by default. */
  readonly tokens?: number;
  /** A name for a tensor in the file, where it has another than in transformers. */
  readonly rename?: (name: string) => string;
  /** The head has the values of the embedding. */
  readonly sameHead?: boolean;
  /**
   * Tensors that the file has besides those of the model, or in their place; an empty shape takes
   * one away.
   */
  readonly stored?: Readonly<Record<string, { readonly shape?: readonly number[]; readonly dtype?: Dtype }>>;
}

const LLAMA = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 24,
  vocab_size: 31,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  use_cache: true,
  bos_token_id: 1,
  eos_token_id: 2,
};
/** It trains: it has so many tensors, its loss is that of the float64 reference, and steps bring it down. */
export const trains = (tensors: number) => ({ tensors, asReference: true, learns: true });

/**
 * Some steps of training; resolves with the number of tensors, whether the loss is that of the
 * float64 reference, and whether the steps bring it down. Throws what the product throws.
 */
export async function trainBrought(
  { config: fields, dtype = 'F32', tokens = 12, stored = {}, rename = (name) => name, sameHead }: BroughtModel,
  folder: string,
  warn: (text: string) => void,
) {
  const json = JSON.stringify({ ...LLAMA, ...fields });
  writeFileSync(join(folder, 'config.json'), json);
  const config = parseLlamaConfig(json, 'config.json');
  checkPositions(config, tokens);
  const warning = longSamplesWarning(config, [tokens]);
  if (warning !== undefined) warn(warning);
  const parameters = llamaParameters(config).list;
  const written = new Map(parameters.map(({ name, shape }) => [name, { shape, dtype }]));
  for (const [name, { shape = written.get(name)?.shape ?? [], dtype: own = dtype }] of Object.entries(stored))
    if (shape.length > 0) written.set(name, { shape, dtype: own });
    else written.delete(name);
  const weights = [...written].map(([name, { shape, dtype }]) => ({
    ...tensorOf(sameHead && name === HEAD ? EMBEDDING : name, shape, dtype),
    name: rename(name),
  }));
  await writeSafetensors(nodeFolder(folder), 'model.safetensors', memoryStateDict(weights));
  const optimizer = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 };
  const engine = await oneThreadEngine({ config, size: { maxBatch: 1, maxSequence: tokens, threads: 1 }, optimizer });
  const model = await openModel(nodeFolder(folder));
  await engine.load(model);
  await model.close?.();
  const loaded = new Map<string, Float64Array>();
  for await (const { tensor, bytes } of engine.weights().chunks())
    loaded.set(tensor.name, Float64Array.from(new Float32Array(bytes.slice().buffer)));
  const text = Int32Array.from({ length: tokens }, (_, i) => (i * 7 + 3) % config.vocabularySize);
  const batch = { tokens: text, targets: text.map((token) => (token + 7) % config.vocabularySize), batch: 1, sequence: tokens };
  const { loss } = await engine.trainStep([batch], 0.01);
  await engine.trainStep([batch], 0.01);
  const { loss: last } = await engine.trainStep([batch], 0.01);
  await engine.close();
  return { tensors: parameters.length, asReference: Math.abs(loss - referenceLoss(config, loaded, batch)) < 1e-4, learns: last < loss };
}

/** Seeded values of a tensor, in its dtype. */
function tensorOf(name: string, shape: readonly number[], dtype: Dtype): MemoryTensor {
  const random = randomStream(1, 'weights', name);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() * 0.3 + (shape.length > 1 ? 0 : 1));
  if (dtype === 'I8') return { name, dtype, shape, data: new Int8Array(values.length) };
  if (dtype === 'F64') return { name, dtype, shape, data: Float64Array.from(values) };
  return { name, dtype, shape, data: narrowInto(dtype, values, new Uint8Array(values.byteLength)).slice() };
}
