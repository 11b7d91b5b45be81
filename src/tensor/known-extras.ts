// Tensors that old programs stored beside the weights, and that no model of today has.
import { selectTensors } from './select-tensors.js';
import type { StateDict } from './state-dict.js';

/**
 * Tables that are computed when a model is made, by their names in older files: transformers lists
 * them as `_keys_to_ignore_on_load_unexpected`.
 */
const KNOWN: readonly RegExp[] = [
  /(?:^|\.)rotary_emb\.inv_freq$/,
  /(?:^|\.)rotary_emb\.(?:cos|sin)_cached$/,
  /(?:^|\.)(?:attn|attention|self_attn|self_attention)\.(?:masked_bias|bias_mask)$/,
  /(?:^|\.)embeddings\.position_ids$/,
];

/** True for a tensor that may be left out whatever the model. */
export function isKnownExtra(name: string): boolean {
  return KNOWN.some((pattern) => pattern.test(name));
}

/** The model without such tensors; the model itself if it has none. */
export function withoutKnownExtras(model: StateDict): StateDict {
  return model.manifest.tensors.some(({ name }) => isKnownExtra(name)) ? selectTensors(model, ({ name }) => !isKnownExtra(name)) : model;
}
