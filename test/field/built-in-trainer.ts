// Models that people bring to the built-in trainer, as their config.json and their weights say them.
import { HEAD } from '../../src/trainer/llama/parameters.js';
import { type BroughtModel, trainBrought } from './brought-model.js';
import type { FieldTable } from './situation.js';

const QWEN2 = {
  model_type: 'qwen2',
  architectures: ['Qwen2ForCausalLM'],
  use_sliding_window: false,
  sliding_window: 32_768,
  max_window_layers: 2,
};
const QWEN3 = { model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], head_dim: 8, attention_bias: false, sliding_window: null };
const MISTRAL = { model_type: 'mistral', architectures: ['MistralForCausalLM'] };
const LLAMA3 = { factor: 32, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 16, rope_type: 'llama3' };
const LONGROPE = { type: 'longrope', short_factor: [1, 1.5], long_factor: [2, 4] };
/** What older versions of transformers leave in a config.json that they write whole. */
const WHOLE = {
  temperature: 1,
  top_k: 50,
  top_p: 1,
  max_length: 20,
  do_sample: false,
  pruned_heads: {},
  id2label: { 0: 'LABEL_0' },
  chunk_size_feed_forward: 0,
};

/** It trains: it has so many tensors, its loss is that of the float64 reference, and steps bring it down. */
const trains = (tensors: number) => ({ tensors, asReference: true, learns: true });

const rows: FieldTable<BroughtModel>['rows'] = [
  {
    name: 'a Llama of today, with rope_type llama3',
    from: 'transformers',
    input: {
      config: { rope_theta: 500_000, rope_scaling: LLAMA3, head_dim: 4, mlp_bias: false, attention_bias: false, pretraining_tp: 1 },
    },
    gives: trains(21),
    advice: 'Llama 3.1 and later train as they are.',
  },
  {
    name: 'the first Llamas, whose config.json says nothing of rotary embeddings',
    from: 'transformers',
    input: { config: { num_key_value_heads: undefined, pad_token_id: 0, max_sequence_length: 2048 } },
    gives: trains(21),
    advice: 'Missing fields have the defaults of transformers.',
  },
  {
    name: 'rope_type default, in rope_parameters and in rope_scaling',
    from: 'transformers 5',
    input: { config: { rope_parameters: { rope_theta: 10_000, rope_type: 'default' }, rope_scaling: { rope_type: 'default' } } },
    gives: trains(21),
    advice: 'The old and the new form are read, also together.',
  },
  {
    name: 'linear rope scaling of old, with type in the place of rope_type',
    from: 'transformers',
    input: { config: { rope_scaling: { type: 'linear', factor: 4 } } },
    gives: trains(21),
    advice: 'Linear scaling is that of transformers.',
  },
  {
    name: 'a model of long contexts with yarn',
    from: 'transformers',
    input: { config: { ...QWEN2, rope_theta: 1e6, rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 16 } } },
    gives: trains(27),
    advice: 'YaRN is that of transformers, with all its fields.',
  },
  {
    name: 'longrope within the positions of the pretraining',
    from: 'transformers',
    input: { config: { rope_scaling: LONGROPE, original_max_position_embeddings: 32 } },
    gives: trains(21),
    advice: 'LongRoPE trains up to the positions of the pretraining.',
  },
  {
    name: 'longrope and samples beyond the positions of the pretraining',
    from: 'transformers',
    input: { config: { rope_scaling: LONGROPE, original_max_position_embeddings: 32 }, tokens: 40 },
    refusal: /up to 40 tokens: with rope_type "longrope" .* up to 32, .*set train\.maxTokens to at most 32/,
    advice: 'Set train.maxTokens to the positions of the pretraining.',
  },
  {
    name: 'dynamic rope scaling',
    from: 'transformers',
    input: { config: { rope_scaling: { type: 'dynamic', factor: 2 } } },
    gives: trains(21),
    advice: 'Dynamic scaling trains up to max_position_embeddings, where it begins.',
  },
  {
    name: 'dynamic rope scaling and samples beyond max_position_embeddings',
    from: 'transformers',
    input: { config: { rope_scaling: { type: 'dynamic', factor: 2 }, max_position_embeddings: 16 }, tokens: 20 },
    refusal: /with rope_type "dynamic" .* up to 16, .*set train\.maxTokens to at most 16/,
    advice: 'Set train.maxTokens to max_position_embeddings.',
  },
  {
    name: 'rope_parameters and rope_scaling that disagree',
    from: 'transformers 5',
    input: { config: { rope_parameters: { rope_theta: 10_000, rope_type: 'default' }, rope_scaling: { type: 'linear', factor: 2 } } },
    refusal: /config\.json: rope_parameters and rope_scaling disagree; keep the one/,
    advice: 'Keep the one that the model was trained with: versions of transformers believe different ones.',
  },
  {
    name: 'two values of rope_theta',
    from: 'transformers 5',
    input: { config: { rope_theta: 500_000, rope_parameters: { rope_theta: 10_000, rope_type: 'default' } } },
    refusal: /rope_parameters\.rope_theta is 10000, and rope_theta beside it is 500000; keep the one/,
    advice: 'Keep the one that the model was trained with.',
  },
  {
    name: 'a rope_type that nobody else has',
    from: 'transformers',
    input: { config: { rope_scaling: { rope_type: 'su', factor: 2 } } },
    refusal: /rope_scaling: rope_type "su" is not known to the built-in trainer; it has default, linear, dynamic, llama3, yarn, longrope/,
    advice: 'Train it with a program of your own.',
  },
  {
    name: 'llama3 scaling with a field missing',
    from: 'transformers',
    input: { config: { rope_scaling: { ...LLAMA3, low_freq_factor: undefined } } },
    refusal: /config\.json: rope_scaling\.low_freq_factor: /,
    advice: 'Take the config.json of the model that the weights are from.',
  },
  {
    name: 'heads of which only a part is rotated',
    from: 'transformers',
    input: { config: { rope_parameters: { rope_theta: 10_000, rope_type: 'default', partial_rotary_factor: 0.5 } } },
    refusal: /rope_parameters\.partial_rotary_factor is 0\.5, which rope_type "default" does not read/,
    advice: 'Train it with a program of your own.',
  },
  {
    name: 'Qwen2, with biases of q, k and v',
    from: 'transformers',
    input: { config: { ...QWEN2, tie_word_embeddings: true, rope_theta: 1e6, attention_dropout: 0, use_mrope: false } },
    gives: trains(26),
    advice: 'Qwen2 and Qwen2.5 train as they are.',
  },
  {
    name: 'Qwen2 whose upper layers have a sliding window',
    from: 'transformers',
    input: { config: { ...QWEN2, use_sliding_window: true, sliding_window: 3, max_window_layers: 1 } },
    gives: trains(27),
    advice: 'Windows are those of transformers, layer by layer.',
  },
  {
    name: 'Qwen3, with norms of q and k and heads wider than the model',
    from: 'transformers',
    input: { config: { ...QWEN3, rope_parameters: { rope_theta: 1e6, rope_type: 'default' } } },
    gives: trains(25),
    advice: 'Qwen3 trains as it is.',
  },
  {
    name: 'Mistral with a sliding window shorter than the samples',
    from: 'transformers',
    input: { config: { ...MISTRAL, sliding_window: 5 } },
    gives: trains(21),
    advice: 'Mistral trains as it is.',
  },
  {
    name: 'Mistral without a window, and its own width of heads',
    from: 'transformers',
    input: { config: { ...MISTRAL, sliding_window: null, head_dim: 6 } },
    gives: trains(21),
    advice: 'Mistral 0.2 and later train as they are.',
  },
  {
    name: 'SmolLM2, with notes of other programs in its config.json',
    from: 'Hugging Face hub',
    input: {
      config: {
        is_llama_config: true,
        rope_interleaved: false,
        tie_word_embeddings: true,
        pad_token_id: 2,
        'transformers.js_config': { dtype: { fp16: 1 } },
        _attn_implementation_autoset: true,
      },
    },
    gives: trains(20),
    advice: 'Fields that are known to change nothing are passed over.',
  },
  {
    name: 'SmolLM3, of which some layers have no rotary embedding',
    from: 'transformers',
    input: { config: { model_type: 'smollm3', no_rope_layers: [1, 0], tie_word_embeddings: undefined, rope_theta: 2e6 } },
    gives: trains(20),
    advice: 'SmolLM3 trains as it is.',
  },
  {
    name: 'a Llama with attention_bias and mlp_bias',
    from: 'transformers',
    input: { config: { attention_bias: true, mlp_bias: true } },
    gives: trains(35),
    advice: 'Biases are trained, without weight decay.',
  },
  {
    name: 'one key and value head for all',
    from: 'transformers',
    input: { config: { num_key_value_heads: 1, hidden_act: 'swish' } },
    gives: trains(21),
    advice: 'Any number of key and value heads that divides the heads will do.',
  },
  {
    name: 'weights in bfloat16',
    from: 'Hugging Face hub',
    input: { dtype: 'BF16' },
    gives: trains(21),
    advice: 'Weights are widened to float32 for training and go back in their own dtype.',
  },
  {
    name: 'weights in float16',
    from: 'Hugging Face hub',
    input: { dtype: 'F16' },
    gives: trains(21),
    advice: 'Weights are widened to float32 for training and go back in their own dtype.',
  },
  {
    name: 'tables of rotary embeddings in an old checkpoint',
    from: 'transformers',
    input: {
      stored: {
        'model.layers.0.self_attn.rotary_emb.inv_freq': { shape: [2] },
        'model.layers.1.self_attn.rotary_emb.inv_freq': { shape: [2] },
      },
    },
    gives: trains(21),
    advice: 'They are passed over: the trainer makes its own.',
  },
  {
    name: 'a config.json of an older transformers that lists every setting',
    from: 'transformers 4',
    input: { config: WHOLE },
    gives: trains(21),
    advice: 'Settings of generation are passed over.',
  },
  {
    name: 'notes of Unsloth in config.json',
    from: 'Unsloth',
    input: { config: { unsloth_fixed: true, unsloth_version: '2025.3.1', _name_or_path: 'unsloth/model' } },
    gives: trains(21),
    advice: 'They are passed over.',
  },
  {
    name: 'samples longer than max_position_embeddings',
    from: 'TRL',
    input: { config: { max_position_embeddings: 16 }, tokens: 20 },
    gives: trains(21),
    warning: /^1 sample is longer than the 16 positions that the model was trained for \(max_position_embeddings\)/,
    advice: 'Training goes on and says so; train.maxTokens cuts the samples.',
  },
  {
    name: 'a Gemma',
    from: 'transformers',
    input: { config: { model_type: 'gemma2', final_logit_softcapping: 30 } },
    refusal: /config\.json: model_type: is "gemma2", must be one of "llama", "mistral", "qwen2", "qwen3", "smollm3"/,
    advice: 'Train other architectures with a program of your own.',
  },
  {
    name: 'hidden_act gelu',
    from: 'transformers',
    input: { config: { hidden_act: 'gelu' } },
    refusal: /config\.json: hidden_act: is "gelu"; the built-in trainer has "silu"/,
    advice: 'Train it with a program of your own.',
  },
  {
    name: 'attention_dropout above 0',
    from: 'transformers',
    input: { config: { attention_dropout: 0.1 } },
    refusal: /config\.json: attention_dropout: is 0\.1; the built-in trainer drops nothing out, set it to 0/,
    advice: 'Set it to 0, or train with a program of your own.',
  },
  {
    name: 'quantized weights with a quantization_config',
    from: 'bitsandbytes',
    input: { config: { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } } },
    refusal: /config\.json: quantization_config is .* these weights are quantized; train the model that they were made from/,
    advice: 'Train the model that they were made from.',
  },
  {
    name: 'sliding_window in a Llama, which has none',
    from: 'transformers',
    input: { config: { sliding_window: 4096 } },
    refusal: /config\.json: sliding_window is 4096, and the built-in trainer does not know what it changes in a llama model/,
    advice: 'Remove the field, or name the architecture that has it.',
  },
  {
    name: 'multipliers of another architecture in a Llama',
    from: 'Hugging Face hub',
    input: { config: { residual_multiplier: 0.22 } },
    refusal: /config\.json: residual_multiplier is 0\.22, .*remove the field if it changes nothing/,
    advice: 'Remove the field if it changes nothing; train with a program of your own if it does.',
  },
  {
    name: 'rotary embeddings that are interleaved',
    from: 'Hugging Face hub',
    input: { config: { rope_interleaved: true } },
    refusal: /config\.json: rope_interleaved is true/,
    advice: 'Convert the weights to the convention of transformers.',
  },
  {
    name: 'layers of a kind that the trainer does not have',
    from: 'transformers',
    input: { config: { ...QWEN3, layer_types: ['full_attention', 'chunked_attention'] } },
    refusal: /config\.json: layer_types has "chunked_attention", which the built-in trainer does not know/,
    advice: 'Train it with a program of your own.',
  },
  {
    name: 'sliding layers, and use_sliding_window false',
    from: 'transformers',
    input: { config: { ...QWEN2, layer_types: ['full_attention', 'sliding_attention'] } },
    refusal: /layer_types has "sliding_attention", and there is no sliding_window in use/,
    advice: 'Set use_sliding_window to true, or the layers to full_attention.',
  },
  {
    name: 'heads that the key and value heads do not divide',
    from: 'transformers',
    input: { config: { num_key_value_heads: 3 } },
    refusal: /config\.json: 4 heads cannot share 3 key and value heads/,
    advice: 'Take the config.json of the model that the weights are from.',
  },
  {
    name: 'a head that is missing, and not tied',
    from: 'Hugging Face hub',
    input: { stored: { [HEAD]: { shape: [] } } },
    refusal: /the model lacks the tensor lm_head\.weight \[31, 16\]/,
    advice: 'Set tie_word_embeddings to true if the head is the embedding.',
  },
  {
    name: 'a stored head that is not the embedding it is tied to',
    from: 'PEFT',
    input: { config: { tie_word_embeddings: true }, stored: { [HEAD]: { shape: [31, 16] } } },
    refusal: /config\.json ties lm_head\.weight to model\.embed_tokens\.weight .* other values for it; set tie_word_embeddings to false/,
    advice: 'Set tie_word_embeddings to false: both were trained.',
  },
  {
    name: 'biases in the weights that config.json does not mention',
    from: 'Hugging Face hub',
    input: { stored: { 'model.layers.0.self_attn.q_proj.bias': { shape: [16] } } },
    refusal:
      /the model has the tensor model\.layers\.0\.self_attn\.q_proj\.bias, which this architecture does not know; config\.json does not belong/,
    advice: 'Take the config.json of the model that the weights are from.',
  },
  {
    name: 'Qwen2 in name, without its biases',
    from: 'Hugging Face hub',
    input: { config: QWEN2, stored: { 'model.layers.1.self_attn.k_proj.bias': { shape: [] } } },
    refusal: /the model lacks the tensor model\.layers\.1\.self_attn\.k_proj\.bias \[8\]/,
    advice: 'Take the config.json of the model that the weights are from.',
  },
  {
    name: 'weights of another vocabulary than config.json says',
    from: 'TRL',
    input: { stored: { 'model.embed_tokens.weight': { shape: [32, 16] } } },
    refusal: /model\.embed_tokens\.weight is F32 \[32, 16\], and \[31, 16\] is needed/,
    advice: 'Set vocab_size to the rows of the embedding, after tokens were added.',
  },
  {
    name: 'weights in 8-bit integers',
    from: 'bitsandbytes',
    input: { dtype: 'BF16', stored: { 'model.layers.0.mlp.up_proj.weight': { dtype: 'I8' } } },
    refusal: /model\.layers\.0\.mlp\.up_proj\.weight is I8 \[24, 16\], and the built-in trainer takes F32, F16 and BF16/,
    advice: 'Bring the model in float32, float16 or bfloat16.',
  },
  {
    name: 'weights in float64',
    from: 'NumPy',
    input: { stored: { 'model.norm.weight': { dtype: 'F64' } } },
    refusal: /model\.norm\.weight is F64 \[16\], and the built-in trainer takes F32, F16 and BF16/,
    advice: 'Bring the model in float32: the trainer computes in it.',
  },
];

export const BUILT_IN_TRAINER: FieldTable<BroughtModel> = {
  title: 'Models for the built-in trainer',
  intro:
    'The built-in trainer reads `config.json` and `model.safetensors` as transformers writes them. A field that would make another model is read or refused by name, before anything is trained.',
  run: (input, { folder, warn }) => trainBrought(input, folder, warn),
  rows,
};
