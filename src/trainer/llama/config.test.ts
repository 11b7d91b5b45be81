import { expect, test } from 'vitest';
import { llamaConfigJson, type PlainLlamaConfig, parseLlamaConfig } from './config.js';

const LLAMA = {
  model_type: 'llama',
  hidden_size: 32,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  intermediate_size: 64,
  vocab_size: 100,
};

const parse = (fields: Record<string, unknown>) => parseLlamaConfig(JSON.stringify({ ...LLAMA, ...fields }), 'config.json');

test('missing fields have the defaults of the architecture in transformers, and null is another word for none', () => {
  expect(parse({})).toEqual({
    hiddenSize: 32,
    layers: 4,
    heads: 8,
    kvHeads: 8,
    headDim: 4,
    ffnSize: 64,
    vocabularySize: 100,
    maxPositions: 2048,
    tied: false,
    ropeTheta: 10_000,
    rmsEps: 1e-6,
    initializerRange: 0.02,
  });
  expect(parse({ model_type: 'smollm3', num_attention_heads: 4 })).toMatchObject({
    kvHeads: 4,
    tied: true,
    ropeTheta: 2_000_000,
    maxPositions: 32_768,
    unrotated: [false, false, false, true],
  });
  expect(parse({ model_type: 'smollm3', vocab_size: 128_256, num_key_value_heads: 2 })).toMatchObject({ padToken: 128_004, kvHeads: 2 });
  expect(parse({ model_type: 'mistral' })).toMatchObject({ kvHeads: 8, windows: [4096, 4096, 4096, 4096] });
  expect(parse({ model_type: 'mistral', num_key_value_heads: null, num_attention_heads: 16 }).kvHeads).toBe(16);
  expect(parse({ model_type: 'qwen3', num_key_value_heads: 1 })).toMatchObject({ headDim: 128, qkNorm: true });
});

test('windows are those of transformers, by architecture', () => {
  expect(parse({ model_type: 'mistral', sliding_window: 9 }).windows).toEqual([9, 9, 9, 9]);
  expect(parse({ model_type: 'mistral', sliding_window: null }).windows).toBeUndefined();
  const qwen2 = { model_type: 'qwen2', num_key_value_heads: 2, use_sliding_window: true };
  expect(parse({ ...qwen2, sliding_window: 9, max_window_layers: 3 }).windows).toEqual([undefined, undefined, undefined, 9]);
  expect(parse({ ...qwen2, max_window_layers: 2 }).windows).toEqual([undefined, undefined, 4096, 4096]);
  expect(parse(qwen2).windows).toBeUndefined();
  expect(parse({ ...qwen2, use_sliding_window: false, sliding_window: 9, max_window_layers: 0 }).windows).toBeUndefined();
  const smollm3 = { model_type: 'smollm3', num_key_value_heads: 2, use_sliding_window: true, sliding_window: 5 };
  expect(parse({ ...smollm3, no_rope_layer_interval: 2 })).toMatchObject({
    windows: [undefined, 5, undefined, 5],
    unrotated: [false, true, false, true],
  });
});

test('a padding token below 0 counts from the end, and one outside of the vocabulary is none', () => {
  expect(parse({ pad_token_id: 7 }).padToken).toBe(7);
  expect(parse({ pad_token_id: -1 }).padToken).toBe(99);
  for (const pad_token_id of [null, 100, -101]) expect(parse({ pad_token_id })).not.toHaveProperty('padToken');
});

test('both forms of rotary settings are read, and a base stands in either place', () => {
  const scaling = { rope_type: 'linear', factor: 2 };
  for (const fields of [
    { rope_theta: 5, rope_scaling: scaling },
    { rope_theta: 5, rope_parameters: scaling },
    { rope_parameters: { ...scaling, rope_theta: 5 } },
    { rope_theta: 5, rope_parameters: { ...scaling, rope_theta: 5 }, rope_scaling: { type: 'linear', factor: 2 } },
  ])
    expect(parse(fields)).toMatchObject({ ropeTheta: 5, ropeScaling: scaling });
  expect(parse({ rope_scaling: {}, rope_parameters: null })).not.toHaveProperty('ropeScaling');
  expect(parse({ rope_scaling: { rope_type: 'default', factor: 1, partial_rotary_factor: 1 } })).not.toHaveProperty('ropeScaling');
});

test('the positions of the pretraining stand beside the rotary settings, in them, or are those of the model', () => {
  const yarn = { rope_type: 'yarn', factor: 4 };
  const originalOf = (fields: Record<string, unknown>) => parse({ max_position_embeddings: 512, ...fields }).ropeScaling;
  expect(originalOf({ rope_scaling: yarn })).toMatchObject({ original_max_position_embeddings: 512 });
  const inside = { ...yarn, original_max_position_embeddings: 128 };
  expect(originalOf({ rope_scaling: inside })).toMatchObject({ original_max_position_embeddings: 128 });
  expect(originalOf({ rope_scaling: inside, original_max_position_embeddings: 64 })).toMatchObject({
    original_max_position_embeddings: 64,
  });
});

test.each([
  [{ rope_scaling: 4 }, /rope_scaling is 4; an object is needed/],
  [{ rope_scaling: { type: 'linear', rope_type: 'yarn', factor: 2 } }, /rope_scaling has rope_type "yarn" and type "linear"; keep one/],
  [{ rope_scaling: { type: 'linear' } }, /rope_scaling\.factor: /],
  [{ rope_scaling: { type: 'linear', factor: -1 } }, /rope_scaling\.factor: /],
  [{ rope_scaling: { rope_type: 'default', factor: 8 } }, /rope_scaling\.factor is 8, which rope_type "default" does not read/],
  [{ rope_parameters: { full_attention: { rope_type: 'default' } } }, /rope_parameters\.full_attention is .* does not read/],
  [{ rope_parameters: { rope_type: 'default', rope_theta: 0 } }, /rope_parameters\.rope_theta is 0; it has to be above 0/],
  [
    {
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 4,
        high_freq_factor: 4,
        original_max_position_embeddings: 512,
      },
    },
    /high_freq_factor is 4; it has to be above low_freq_factor/,
  ],
  [{ layer_types: ['full_attention', 'sliding_attention', 'full_attention', 'full_attention'] }, /layer_types is \["full_attention"/],
  [{ model_type: 'qwen2', num_key_value_heads: 8, layer_types: ['full_attention'] }, /layer_types has 1 entries for 4 layers/],
  [{ model_type: 'mistral', sliding_window: 4, layer_types: Array(4).fill('full_attention') }, /layer_types and sliding_window disagree/],
  [{ model_type: 'mistral', attention_bias: true }, /attention_bias is true, .* in a mistral model/],
  [{ model_type: 'smollm3', no_rope_layers: [1] }, /no_rope_layers has 1 entries for 4 layers/],
  [{ sliding_window: 0 }, /sliding_window: /],
  [{ num_experts: 8 }, /num_experts is 8, .* remove the field if it changes nothing/],
  [{ hidden_size: 30 }, /heads of 3\.75 values cannot be rotated/],
])('%j is refused by name', (fields, expected) => {
  expect(() => parse(fields)).toThrow(expected);
});

test('what is switched off or known changes nothing', () => {
  const off = {
    num_experts: null,
    use_bias: false,
    extra: {},
    list: [],
    embd_pdrop: 0,
    _note: 5,
    temperature: 0.6,
    use_sliding_window: false,
    sliding_window: 8,
  };
  expect(parse(off)).toEqual(parse({}));
});

test('the file that is written is read as it was', () => {
  const config: PlainLlamaConfig = {
    hiddenSize: 30,
    layers: 3,
    heads: 4,
    kvHeads: 2,
    headDim: 10,
    ffnSize: 50,
    vocabularySize: 70,
    maxPositions: 99,
    tied: true,
    ropeTheta: 5000,
    rmsEps: 1e-4,
    initializerRange: 0.1,
  };
  expect(parseLlamaConfig(llamaConfigJson(config), 'x')).toEqual(config);
  expect(parseLlamaConfig(llamaConfigJson(config, { end: 1, pad: 0 }), 'x')).toEqual({ ...config, padToken: 0 });
});
