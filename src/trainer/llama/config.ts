// The configuration of a Llama-architecture model and of its kin, as Hugging Face writes it.
import { z } from 'zod';
import { FedStreamError } from '../../core/errors.js';
import { FAMILIES, type Family, type FamilyField, MODEL_TYPES, type ModelType } from './families.js';
import { refuseUnknownFields, shown } from './known-fields.js';
import { readLayerKinds } from './layer-kinds.js';
import { type RopeScaling, readRope } from './rope.js';

/** Dimensions and constants; names as in the paper and in `config.json`. */
export interface LlamaConfig extends LlamaParts {
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

/** The parts that some models have; a model without them does nothing for them. */
export interface LlamaParts {
  /** Biases of the projections to q, k and v (Qwen2). */
  readonly qkvBias?: boolean;
  /** A bias of the projection behind attention. */
  readonly outputBias?: boolean;
  readonly mlpBias?: boolean;
  /** RMSNorm over each head of q and k, before they are rotated (Qwen3). */
  readonly qkNorm?: boolean;
  readonly ropeScaling?: RopeScaling | undefined;
  /** For each layer the number of positions that one sees, itself among them; undefined: all (Mistral). */
  readonly windows?: readonly (number | undefined)[] | undefined;
  /** For each layer true if q and k are not rotated (SmolLM3). */
  readonly unrotated?: readonly boolean[] | undefined;
  /** The token whose row of the embedding learns nothing from where it is read, as in torch.nn.Embedding. */
  readonly padToken?: number | undefined;
}

/** A model of the parts that every Llama has. */
export type PlainLlamaConfig = Omit<LlamaConfig, keyof LlamaParts> & { readonly [Part in keyof LlamaParts]?: undefined };

const side = z
  .int()
  .min(1)
  .max(2 ** 20);

const hfSchema = z.object({
  model_type: z.enum(MODEL_TYPES, {
    error: ({ input }) =>
      `is ${shown(input)}, must be one of "${MODEL_TYPES.join('", "')}": the built-in trainer knows no other architecture; train others with a program of your own (docs/site.md)`,
  }),
  hidden_size: side,
  num_hidden_layers: side.max(1024),
  num_attention_heads: side,
  num_key_value_heads: side.nullish(),
  head_dim: side.nullish(),
  intermediate_size: side,
  vocab_size: z
    .int()
    .min(1)
    .max(2 ** 24),
  max_position_embeddings: z
    .int()
    .min(1)
    .max(2 ** 30)
    .optional(),
  original_max_position_embeddings: side.nullish(),
  tie_word_embeddings: z.boolean().optional(),
  rope_theta: z.number().positive().nullish(),
  rope_parameters: z.unknown().optional(),
  rope_scaling: z.unknown().optional(),
  rms_norm_eps: z.number().positive().default(1e-6),
  pad_token_id: z.int().nullish(),
  initializer_range: z.number().min(0).default(0.02),
  hidden_act: z
    .enum(['silu', 'swish'], {
      error: ({ input }) => `is ${shown(input)}; the built-in trainer has "silu" (also called "swish") alone`,
    })
    .default('silu'),
  attention_dropout: z
    .literal(0, { error: ({ input }) => `is ${shown(input)}; the built-in trainer drops nothing out, set it to 0` })
    .nullish(),
  attention_bias: z.boolean().optional(),
  mlp_bias: z.boolean().optional(),
  sliding_window: z.int().min(1).nullish(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.int().min(0).optional(),
  layer_types: z.array(z.string()).max(1024).nullish(),
  no_rope_layers: z.array(z.int().min(0).max(1)).max(1024).nullish(),
  no_rope_layer_interval: z.int().min(1).optional(),
});

type HfConfig = z.infer<typeof hfSchema>;

/** The fields that every architecture reads. */
const ALWAYS_READ = Object.keys(hfSchema.shape).filter((name) => !isFamilyField(name));

function isFamilyField(name: string): name is FamilyField {
  return MODEL_TYPES.some((type) => (FAMILIES[type].fields as readonly string[]).includes(name));
}

/**
 * Reads `config.json`. Throws `bad-model`, which names the field: one that does not fit, one that
 * asks for something this trainer cannot do, or one of which it does not know what it changes.
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
  const type = parsed.data.model_type;
  refuseUnknownFields(json as Record<string, unknown>, fieldsOf(type, parsed.data), type, source);
  const config = toConfig(type, parsed.data, source);
  checkLlamaConfig(config, source);
  return config;
}

/** The fields that an architecture reads, and those that change nothing in it. */
function fieldsOf(type: ModelType, { use_sliding_window, layer_types }: HfConfig): ReadonlySet<string> {
  const fields = new Set<string>([...ALWAYS_READ, ...FAMILIES[type].fields]);
  // Switched off, in an architecture that has none: the other fields say nothing.
  if (layer_types?.every((kind) => kind === 'full_attention')) fields.add('layer_types');
  if (use_sliding_window === false) for (const name of ['sliding_window', 'max_window_layers']) fields.add(name);
  return fields;
}

function toConfig(type: ModelType, hf: HfConfig, source: string): LlamaConfig {
  const family: Family = FAMILIES[type];
  const heads = hf.num_attention_heads;
  const maxPositions = hf.max_position_embeddings ?? family.maxPositions;
  const { theta, scaling } = readRope(hf, { theta: family.ropeTheta, maxPositions }, source);
  const { windows, unrotated } = readLayerKinds(type, hf, source);
  const hasBias = type !== 'qwen2' && hf.attention_bias === true;
  return {
    hiddenSize: hf.hidden_size,
    layers: hf.num_hidden_layers,
    heads,
    // Missing, a field has the default of its architecture; null stands for as many as heads.
    kvHeads: hf.num_key_value_heads ?? (hf.num_key_value_heads === undefined ? family.kvHeads : undefined) ?? heads,
    headDim: hf.head_dim ?? family.headDim ?? hf.hidden_size / heads,
    ffnSize: hf.intermediate_size,
    vocabularySize: hf.vocab_size,
    maxPositions,
    tied: hf.tie_word_embeddings ?? family.tied,
    ropeTheta: theta,
    rmsEps: hf.rms_norm_eps,
    initializerRange: hf.initializer_range,
    ...((family.qkvBias || hasBias) && { qkvBias: true }),
    ...(hasBias && { outputBias: true }),
    ...(hf.mlp_bias === true && { mlpBias: true }),
    ...(family.qkNorm && { qkNorm: true }),
    ...padOf(hf, family),
    ...(scaling.rope_type !== 'default' && { ropeScaling: scaling }),
    ...(windows && { windows }),
    ...(unrotated && { unrotated }),
  };
}

/** Counted from the end if below 0, as torch does; one outside of the vocabulary is in no text. */
function padOf({ pad_token_id, vocab_size }: HfConfig, { padToken }: Family): Pick<LlamaConfig, 'padToken'> {
  const token = pad_token_id === undefined ? padToken : pad_token_id;
  if (token === null || token === undefined || token >= vocab_size || token < -vocab_size) return {};
  return { padToken: token < 0 ? token + vocab_size : token };
}

/** Throws `bad-model` if the dimensions do not fit each other. */
export function checkLlamaConfig(config: LlamaConfig, source: string): void {
  const { heads, kvHeads, headDim } = config;
  if (heads % kvHeads !== 0) throw new FedStreamError('bad-model', `${source}: ${heads} heads cannot share ${kvHeads} key and value heads`);
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw new FedStreamError('bad-model', `${source}: heads of ${headDim} values cannot be rotated; an even number is needed`);
}

/** `config.json` as transformers' LlamaForCausalLM loads it. */
export function llamaConfigJson(config: PlainLlamaConfig, tokens: { end?: number; pad?: number } = {}): string {
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
