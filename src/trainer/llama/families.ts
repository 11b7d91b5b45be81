// The architectures that the built-in trainer knows: what each fixes, and what it takes where
// `config.json` says nothing, as in the configuration classes of transformers.

/** The optional fields of `config.json` that some architectures read, and others do not have. */
export type FamilyField =
  | 'attention_bias'
  | 'mlp_bias'
  | 'sliding_window'
  | 'use_sliding_window'
  | 'max_window_layers'
  | 'layer_types'
  | 'no_rope_layers'
  | 'no_rope_layer_interval';

/** An architecture. */
export interface Family {
  /** Key and value heads where the field is missing; undefined: as many as heads. */
  readonly kvHeads: number | undefined;
  /** Width of a head where the field is missing; undefined: hidden size / heads. */
  readonly headDim: number | undefined;
  readonly maxPositions: number;
  readonly ropeTheta: number;
  readonly tied: boolean;
  /** The padding token where the field is missing. */
  readonly padToken: number | undefined;
  /** True if q, k and v have biases whatever `config.json` says. */
  readonly qkvBias: boolean;
  readonly qkNorm: boolean;
  readonly fields: readonly FamilyField[];
}

const LLAMA: Family = {
  kvHeads: undefined,
  headDim: undefined,
  maxPositions: 2048,
  ropeTheta: 10_000,
  tied: false,
  padToken: undefined,
  qkvBias: false,
  qkNorm: false,
  fields: ['attention_bias', 'mlp_bias'],
};

const WINDOWS: readonly FamilyField[] = ['sliding_window', 'use_sliding_window', 'max_window_layers', 'layer_types'];

/** The architectures, by `model_type`. */
export const FAMILIES = {
  llama: LLAMA,
  mistral: { ...LLAMA, kvHeads: 8, maxPositions: 131_072, fields: ['sliding_window', 'layer_types'] },
  // Qwen2 has its biases without a word, so that the field changes nothing.
  qwen2: { ...LLAMA, kvHeads: 32, maxPositions: 32_768, qkvBias: true, fields: [...WINDOWS, 'attention_bias'] },
  qwen3: { ...LLAMA, kvHeads: 32, headDim: 128, maxPositions: 32_768, qkNorm: true, fields: [...WINDOWS, 'attention_bias'] },
  smollm3: {
    ...LLAMA,
    kvHeads: 4,
    maxPositions: 32_768,
    ropeTheta: 2_000_000,
    tied: true,
    padToken: 128_004,
    fields: [...WINDOWS, 'attention_bias', 'mlp_bias', 'no_rope_layers', 'no_rope_layer_interval'],
  },
} as const satisfies Record<string, Family>;

/** A `model_type` that the trainer knows. */
export type ModelType = keyof typeof FAMILIES;

/** All of them. */
export const MODEL_TYPES = Object.keys(FAMILIES) as ModelType[];
