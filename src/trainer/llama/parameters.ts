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
  /** True for norm weights, which do not decay and begin at 1. */
  readonly isNorm: boolean;
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

/** The parameters in the order of the model's modules; each begins at a multiple of 16 elements. */
export function llamaParameters(config: LlamaConfig): Parameters {
  const { hiddenSize: d, heads, kvHeads, headDim, ffnSize, vocabularySize, layers, tied } = config;
  const list: Parameter[] = [];
  let start = 0;
  const add = (name: string, ...shape: number[]): void => {
    const elements = shape.reduce((product, side) => product * side, 1);
    list.push({ name, shape, start, elements, isNorm: shape.length === 1 });
    start += Math.ceil(elements / 16) * 16;
  };
  add(EMBEDDING, vocabularySize, d);
  for (let layer = 0; layer < layers; layer++) {
    add(layerName(layer, 'self_attn.q_proj'), heads * headDim, d);
    add(layerName(layer, 'self_attn.k_proj'), kvHeads * headDim, d);
    add(layerName(layer, 'self_attn.v_proj'), kvHeads * headDim, d);
    add(layerName(layer, 'self_attn.o_proj'), d, heads * headDim);
    add(layerName(layer, 'mlp.gate_proj'), ffnSize, d);
    add(layerName(layer, 'mlp.up_proj'), ffnSize, d);
    add(layerName(layer, 'mlp.down_proj'), d, ffnSize);
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
