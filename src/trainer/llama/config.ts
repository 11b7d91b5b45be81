// The configuration of a Llama-architecture model, as Hugging Face writes it.
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';

/** Dimensions and constants; names as in the paper and in `config.json`. */
export interface LlamaConfig {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffnSize: number;
  readonly vocabularySize: number;
  readonly maxPositions: number;
  /** True if the head is the transposed embedding. */
  readonly tied: boolean;
  readonly ropeTheta: number;
  readonly rmsEps: number;
  /** Standard deviation of the initial weights. */
  readonly initializerRange: number;
}

const side = z
  .int()
  .min(1)
  .max(2 ** 20);

const hfSchema = z.object({
  model_type: z.literal('llama', { error: 'must be "llama": the built-in trainer knows no other architecture' }),
  hidden_size: side,
  num_hidden_layers: side.max(1024),
  num_attention_heads: side,
  num_key_value_heads: side.optional(),
  head_dim: side.nullish(),
  intermediate_size: side,
  vocab_size: z
    .int()
    .min(1)
    .max(2 ** 24),
  max_position_embeddings: side.default(2048),
  tie_word_embeddings: z.boolean().default(false),
  rope_theta: z.number().positive().optional(),
  rope_parameters: z.looseObject({ rope_theta: z.number().positive().optional(), rope_type: z.string().optional() }).nullish(),
  rope_scaling: z.unknown().optional(),
  rms_norm_eps: z.number().positive().default(1e-6),
  initializer_range: z.number().positive().default(0.02),
  hidden_act: z.literal('silu').default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

/**
 * Reads `config.json`. Throws `bad-model`, which names the field, or `unsupported`, which names
 * what this trainer cannot do.
 */
export function parseLlamaConfig(text: string, source: string): LlamaConfig {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FedStreamError('bad-model', `${source} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = hfSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    throw new FedStreamError('bad-model', `${source}: ${issue.path.join('.') || 'the file'}: ${issue.message}`);
  }
  const hf = parsed.data;
  const scaled = (hf.rope_scaling !== undefined && hf.rope_scaling !== null) || (hf.rope_parameters?.rope_type ?? 'default') !== 'default';
  if (hf.attention_bias || hf.mlp_bias || scaled) {
    const what = scaled ? 'scaled rotary embeddings' : 'biases';
    throw new FedStreamError('unsupported', `${source}: the built-in trainer does not train models with ${what}`);
  }
  const config: LlamaConfig = {
    hiddenSize: hf.hidden_size,
    layers: hf.num_hidden_layers,
    heads: hf.num_attention_heads,
    kvHeads: hf.num_key_value_heads ?? hf.num_attention_heads,
    headDim: hf.head_dim ?? hf.hidden_size / hf.num_attention_heads,
    ffnSize: hf.intermediate_size,
    vocabularySize: hf.vocab_size,
    maxPositions: hf.max_position_embeddings,
    tied: hf.tie_word_embeddings,
    ropeTheta: hf.rope_theta ?? hf.rope_parameters?.rope_theta ?? 10_000,
    rmsEps: hf.rms_norm_eps,
    initializerRange: hf.initializer_range,
  };
  checkLlamaConfig(config, source);
  return config;
}

/** Throws `bad-model` if the dimensions do not fit each other. */
export function checkLlamaConfig(config: LlamaConfig, source: string): void {
  const { heads, kvHeads, headDim } = config;
  if (heads % kvHeads !== 0) throw new FedStreamError('bad-model', `${source}: ${heads} heads cannot share ${kvHeads} key and value heads`);
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw new FedStreamError('bad-model', `${source}: heads of ${headDim} values cannot be rotated; an even number is needed`);
}

/** `config.json` as transformers' LlamaForCausalLM loads it. */
export function llamaConfigJson(config: LlamaConfig, tokens: { end?: number; pad?: number } = {}): string {
  const json = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    intermediate_size: config.ffnSize,
    vocab_size: config.vocabularySize,
    max_position_embeddings: config.maxPositions,
    tie_word_embeddings: config.tied,
    rope_theta: config.ropeTheta,
    rms_norm_eps: config.rmsEps,
    initializer_range: config.initializerRange,
    hidden_act: 'silu',
    attention_bias: false,
    mlp_bias: false,
    torch_dtype: 'float32',
    bos_token_id: null,
    eos_token_id: tokens.end ?? null,
    pad_token_id: tokens.pad ?? null,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}
