// Makes `config.json` of the fields of a GGUF file, for the architectures that are known here.
import { FedStreamError } from '../../core/errors.js';
import { DTYPES } from '../../tensor/dtype.js';
import type { GgufFile } from '../../tensor/gguf/gguf-file.js';
import { type Architecture, ROPE_FACTORS } from './architecture.js';
import { llama3Scaling } from './rope-factors.js';

/** `config.json` and the numbers in it that the tensors are read by. */
export interface GgufConfig {
  readonly json: string;
  readonly heads: { readonly q: number; readonly k: number };
}

/**
 * The configuration of a model. Throws `bad-model`, which names the field, where a field is missing
 * or says something that transformers' model of that name does not do.
 */
export async function ggufConfig(file: GgufFile, architecture: Architecture): Promise<GgufConfig> {
  const prefix = file.fields.get('general.architecture') as string;
  const field = fieldReader(file, prefix);
  const heads = field.count('attention.head_count');
  const kvHeads = field.countOr('attention.head_count_kv', heads);
  const hidden = field.count('embedding_length');
  const headDim = field.countOr('attention.key_length', hidden / heads);
  if (field.countOr('expert_count', 0) > 0)
    throw field.fault('expert_count', "mixture-of-experts models are not begun from GGUF; take the model's safetensors");
  if (field.countOr('attention.value_length', headDim) !== headDim)
    throw field.fault('attention.value_length', 'it is not that of the keys');
  if (field.countOr('rope.dimension_count', headDim) !== headDim)
    throw field.fault('rope.dimension_count', `only ${headDim} turned values a head are known here`);
  const theta = field.numberOr('rope.freq_base', 10_000);
  const names = new Set(file.tensors.map(({ name }) => name));
  const embedding = file.tensors.find(({ name }) => name === 'token_embd.weight');
  if (!embedding) throw new FedStreamError('bad-model', `${file.label} has no tensor token_embd.weight`);
  const has = (part: string) => names.has(`blk.0.${part}.bias`);
  if (architecture.modelType === 'llama' && has('attn_q') !== has('attn_output'))
    throw new FedStreamError(
      'bad-model',
      `${file.label} has biases on some of its projections alone, which ${architecture.className} has not`,
    );
  const window = field.countOr('attention.sliding_window', 0);
  const json = {
    architectures: [architecture.className],
    model_type: architecture.modelType,
    hidden_size: hidden,
    num_hidden_layers: field.count('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    intermediate_size: field.count('feed_forward_length'),
    vocab_size: embedding.shape[0],
    max_position_embeddings: field.count('context_length'),
    tie_word_embeddings: !names.has('output.weight'),
    rope_theta: theta,
    rope_scaling: (await factorScaling(file, headDim, theta)) ?? fieldScaling(field),
    rms_norm_eps: field.numberOr('attention.layer_norm_rms_epsilon', 1e-6),
    hidden_act: 'silu',
    ...(architecture.modelType === 'llama' ? { attention_bias: has('attn_q'), mlp_bias: has('ffn_gate') } : {}),
    ...(architecture.modelType === 'mistral' ? { sliding_window: window === 0 ? null : window } : {}),
    ...(architecture.modelType === 'qwen3' ? { attention_bias: has('attn_q') } : {}),
    ...(architecture.modelType.startsWith('qwen') ? { use_sliding_window: false } : {}),
    bos_token_id: token(file, 'bos'),
    eos_token_id: token(file, 'eos'),
    pad_token_id: token(file, 'padding'),
    torch_dtype: 'float32',
  };
  return { json: `${JSON.stringify(json, null, 2)}\n`, heads: { q: heads, k: kvHeads } };
}

function token({ fields }: GgufFile, which: string): number | null {
  const id = fields.get(`tokenizer.ggml.${which}_token_id`);
  return typeof id === 'number' ? id : null;
}

type FieldReader = ReturnType<typeof fieldReader>;

function fieldReader({ fields, label }: GgufFile, prefix: string) {
  const fault = (name: string, what: string) => new FedStreamError('bad-model', `${label}: the field ${prefix}.${name}: ${what}`);
  const number = (name: string): number | undefined => {
    const value = fields.get(`${prefix}.${name}`);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw fault(name, 'a number belongs there, one for all layers');
    return shortest(value);
  };
  const count = (name: string, value: number | undefined): number => {
    if (value === undefined || !Number.isSafeInteger(value) || value < 0)
      throw fault(name, value === undefined ? 'it is missing' : `${value} is no count`);
    return value;
  };
  return {
    fault,
    text: (name: string) => fields.get(`${prefix}.${name}`),
    numberOr: (name: string, other: number) => number(name) ?? other,
    count: (name: string) => count(name, number(name)),
    countOr: (name: string, other: number) => count(name, number(name) ?? other),
  };
}

/** The shortest decimal of a float32, as people wrote it: 1e-6, not 9.999999974752427e-7. */
function shortest(value: number): number {
  if (Number.isInteger(value) || Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** Scaling that the fields name. */
function fieldScaling(field: FieldReader): object | null {
  const type = field.text('rope.scaling.type');
  if (type === undefined || type === 'none') return null;
  const factor = field.numberOr('rope.scaling.factor', 1);
  if (type === 'linear') return { rope_type: 'linear', factor };
  if (type === 'yarn')
    return { rope_type: 'yarn', factor, original_max_position_embeddings: field.count('rope.scaling.original_context_length') };
  throw field.fault('rope.scaling.type', `${JSON.stringify(type)} is not known here`);
}

/** Scaling that stands in a tensor of factors. */
async function factorScaling(file: GgufFile, headDim: number, theta: number): Promise<object | undefined> {
  const tensor = file.tensors.find(({ name }) => name === ROPE_FACTORS);
  if (!tensor) return undefined;
  const count = headDim / 2;
  if (tensor.type.dtype !== 'F32' || tensor.bytes !== (count * DTYPES.F32.bits) / 8)
    throw new FedStreamError('bad-model', `${file.label}: tensor ${ROPE_FACTORS} has not ${count} factors of F32`);
  const factors = new Float32Array(count);
  await file.read(new Uint8Array(factors.buffer), tensor.begin);
  if (factors.every((factor) => factor === 1)) return undefined;
  const scaling = llama3Scaling(factors, theta);
  if (scaling) return scaling;
  throw new FedStreamError(
    'bad-model',
    `${file.label}: the factors in ${ROPE_FACTORS} are not those of Llama 3; take the model's safetensors instead`,
  );
}
