// The models of llama.cpp that are known here by their Hugging Face form: names of tensors, and the
// order of the rows of queries and keys.
import { FedStreamError } from '../../core/errors.js';
import type { GgufFile, GgufView } from '../../tensor/gguf/gguf-file.js';
import type { GgufTensor } from '../../tensor/gguf/gguf-header.js';

/** Names of an architecture in GGUF, and in transformers. */
export interface Architecture {
  readonly modelType: 'llama' | 'mistral' | 'qwen2' | 'qwen3';
  readonly className: string;
  /** True where llama.cpp has put the rows of queries and keys into another order. */
  readonly permuted: boolean;
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { modelType: 'llama', className: 'LlamaForCausalLM', permuted: true },
  qwen2: { modelType: 'qwen2', className: 'Qwen2ForCausalLM', permuted: false },
  qwen3: { modelType: 'qwen3', className: 'Qwen3ForCausalLM', permuted: false },
};

/** The architecture that a file says it has, by the name in its fields; undefined if it is not known here. */
function architectureOf({ fields }: GgufFile): Architecture | undefined {
  const name = fields.get('general.architecture');
  const known = typeof name === 'string' && Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  // A Mistral model is a Llama model with a window, and says no more of it.
  if (known?.modelType === 'llama' && typeof fields.get('llama.attention.sliding_window') === 'number')
    return { ...known, modelType: 'mistral', className: 'MistralForCausalLM' };
  return known;
}

/** As `architectureOf`; throws `bad-model`, with those that are known, for another one. */
export function needArchitecture(file: GgufFile): Architecture {
  const found = architectureOf(file);
  if (found) return found;
  const name = file.fields.get('general.architecture');
  throw new FedStreamError(
    'bad-model',
    `${file.label} is of the architecture ${typeof name === 'string' ? JSON.stringify(name) : 'of nobody knows which name'}; models are begun from ${Object.keys(ARCHITECTURES).join(', ')} (Llama, Mistral, Qwen): take the model's safetensors instead`,
  );
}

/** Factors of the rotary embedding, which become a part of `config.json`. */
export const ROPE_FACTORS = 'rope_freqs.weight';

const OUTER: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};
const INNER: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};
const BLOCK = /^blk\.(\d{1,5})\.([a-z_]+)\.(weight|bias)$/;

/**
 * The view of a file's tensors under the names of transformers, with the rows of queries and keys in
 * its order; `heads` is how many each of them has. Throws `bad-model` for a tensor that has no
 * place there.
 */
export function huggingFaceView(file: GgufFile, architecture: Architecture, heads: { readonly q: number; readonly k: number }) {
  return (tensor: GgufTensor): GgufView | undefined => {
    if (tensor.name === ROPE_FACTORS) return undefined;
    const outer = Object.hasOwn(OUTER, tensor.name) ? OUTER[tensor.name] : undefined;
    if (outer !== undefined) return { name: outer };
    const [, layer, part = '', kind] = BLOCK.exec(tensor.name) ?? [];
    const inner = Object.hasOwn(INNER, part) ? INNER[part] : undefined;
    if (inner === undefined)
      throw new FedStreamError(
        'bad-model',
        `${file.label} has the tensor ${tensor.name}, which ${architecture.className} does not have; take the model's safetensors instead`,
      );
    const name = `model.layers.${layer}.${inner}.${kind}`;
    const count = part === 'attn_q' ? heads.q : part === 'attn_k' ? heads.k : 0;
    return architecture.permuted && count > 0 ? { name, rowOf: rowOrder(tensor, count, file.label) } : { name };
  };
}

/**
 * llama.cpp turns neighbouring values, and transformers the first half with the second: row `2i + j`
 * of a head there is row `j · half + i` here (`permute` of convert_hf_to_gguf.py, backwards).
 */
function rowOrder({ name, shape: [rows = 0] }: GgufTensor, heads: number, label: string): (row: number) => number {
  const size = rows / heads;
  if (!Number.isInteger(size / 2))
    throw new FedStreamError('bad-model', `${label}: tensor ${name} has ${rows} rows, which do not make ${heads} heads of an even size`);
  const half = size / 2;
  return (row) => {
    const within = row % size;
    return row - within + 2 * (within % half) + Math.floor(within / half);
  };
}
