// The tensors of Llama-3.2-1B as the paper counts them: 147, embedding and head untied (Table I).
import { CHUNK_ELEMENTS, type Manifest, RAW, type TensorEntry } from '../../tensor/manifest.js';

const HIDDEN = 2048;
const KEYS = 512;
const FEED_FORWARD = 8192;
const VOCABULARY = 128_256;
const LAYERS = 16;

/** The manifest of Llama-3.2-1B in F32, with the names of its Hugging Face repository. */
export function llama1b(): Manifest {
  const tensors: TensorEntry[] = [];
  const add = (name: string, ...shape: number[]): void => {
    tensors.push({ name, dtype: 'F32', shape, encoding: RAW });
  };
  add('model.embed_tokens.weight', VOCABULARY, HIDDEN);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = `model.layers.${layer}.`;
    add(`${at}self_attn.q_proj.weight`, HIDDEN, HIDDEN);
    add(`${at}self_attn.k_proj.weight`, KEYS, HIDDEN);
    add(`${at}self_attn.v_proj.weight`, KEYS, HIDDEN);
    add(`${at}self_attn.o_proj.weight`, HIDDEN, HIDDEN);
    add(`${at}mlp.gate_proj.weight`, FEED_FORWARD, HIDDEN);
    add(`${at}mlp.up_proj.weight`, FEED_FORWARD, HIDDEN);
    add(`${at}mlp.down_proj.weight`, HIDDEN, FEED_FORWARD);
    add(`${at}input_layernorm.weight`, HIDDEN);
    add(`${at}post_attention_layernorm.weight`, HIDDEN);
  }
  add('model.norm.weight', HIDDEN);
  add('lm_head.weight', VOCABULARY, HIDDEN);
  return { tensors, chunkElements: CHUNK_ELEMENTS, tied: {}, metadata: {} };
}

/** The manifests that `fedstream bench make-model` can fill. */
export const SHAPES: Readonly<Record<string, () => Manifest>> = { 'llama-3.2-1b': llama1b };
