// The parameters of a Llama model: Hugging Face's names and shapes, one after the other in memory.
import { CHUNK_ELEMENTS, type Manifest, RAW } from '../../tensor/manifest.js';
import type { LlamaConfig } from './config.js';

/** A parameter and its place. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  /** Its first element, counted over all parameters. */
  readonly start: number;
  readonly elements: number;
  /** Norm weights begin at 1 and biases at 0; neither decays. */
  readonly kind: 'matrix' | 'norm' | 'bias';
}

/** All parameters, in order. */
export interface Parameters {
  readonly list: readonly Parameter[];
  readonly total: number;
  /** The first element of a tensor, by name. */
  at(name: string): number;
}

/** Name of the embedding. */
export const EMBEDDING = 'model.embed_tokens.weight';
/** Name of the head. */
export const HEAD = 'lm_head.weight';
/** Name of the last norm. */
export const FINAL_NORM = 'model.norm.weight';

/** The full name of a layer's parameter. */
export function layerName(layer: number, part: string): string {
  return `model.layers.${layer}.${part}.weight`;
}

/** The full name of a bias of a layer. */
export function biasName(layer: number, part: string): string {
  return `model.layers.${layer}.${part}.bias`;
}

/** The parameters in the order of the model's modules; each begins at a multiple of 16 elements. */
export function llamaParameters(config: LlamaConfig): Parameters {
  const { hiddenSize: d, heads, kvHeads, headDim, ffnSize, vocabularySize, layers, tied } = config;
  const { qkvBias = false, outputBias = false, mlpBias = false } = config;
  const list: Parameter[] = [];
  let start = 0;
  const add = (name: string, ...shape: number[]): void => {
    const elements = shape.reduce((product, side) => product * side, 1);
    const kind = shape.length > 1 ? 'matrix' : name.endsWith('.bias') ? 'bias' : 'norm';
    list.push({ name, shape, start, elements, kind });
    start += Math.ceil(elements / 16) * 16;
  };
  const project = (layer: number, part: string, n: number, k: number, hasBias: boolean): void => {
    add(layerName(layer, part), n, k);
    if (hasBias) add(biasName(layer, part), n);
  };
  add(EMBEDDING, vocabularySize, d);
  for (let layer = 0; layer < layers; layer++) {
    project(layer, 'self_attn.q_proj', heads * headDim, d, qkvBias);
    project(layer, 'self_attn.k_proj', kvHeads * headDim, d, qkvBias);
    project(layer, 'self_attn.v_proj', kvHeads * headDim, d, qkvBias);
    project(layer, 'self_attn.o_proj', d, heads * headDim, outputBias);
    if (config.qkNorm) for (const part of ['q_norm', 'k_norm']) add(layerName(layer, `self_attn.${part}`), headDim);
    project(layer, 'mlp.gate_proj', ffnSize, d, mlpBias);
    project(layer, 'mlp.up_proj', ffnSize, d, mlpBias);
    project(layer, 'mlp.down_proj', d, ffnSize, mlpBias);
    add(layerName(layer, 'input_layernorm'), d);
    add(layerName(layer, 'post_attention_layernorm'), d);
  }
  add(FINAL_NORM, d);
  if (!tied) add(HEAD, vocabularySize, d);
  const starts = new Map(list.map((parameter) => [parameter.name, parameter.start]));
  return { list, total: start, at: (name) => starts.get(name) as number };
}

/** The manifest of the model in float32; a tied head is an alias of the embedding. */
export function llamaManifest(config: LlamaConfig, chunkElements = CHUNK_ELEMENTS): Manifest {
  const tensors = llamaParameters(config).list.map(({ name, shape }) => ({ name, dtype: 'F32' as const, shape, encoding: RAW }));
  return { tensors, chunkElements, tied: config.tied ? { [HEAD]: EMBEDDING } : {}, metadata: {} };
}
