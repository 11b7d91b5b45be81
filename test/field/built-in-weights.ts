// Weights that people bring to the built-in trainer: dtypes, names, tied heads, and tensors that do
// not belong to their config.json.
import { EMBEDDING, HEAD } from '../../src/trainer/llama/parameters.js';
import { type BroughtModel, trainBrought, trains } from './brought-model.js';
import type { FieldTable } from './situation.js';

const rows: FieldTable<BroughtModel>['rows'] = [
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
    name: 'a head that is missing, and not tied',
    from: 'Hugging Face hub',
    input: { stored: { [HEAD]: { shape: [] } } },
    refusal: /the model lacks the tensor lm_head\.weight \[31, 16\]; set tie_word_embeddings to true in config\.json if/,
    advice: 'Set tie_word_embeddings to true if the head is the embedding.',
  },
  {
    name: 'a head that is stored beside the embedding it is tied to',
    from: 'llama.cpp',
    input: { config: { tie_word_embeddings: true }, stored: { [HEAD]: { shape: [31, 16] } }, sameHead: true },
    gives: trains(20),
    advice: 'It is compared with the embedding and left out.',
  },
  {
    name: 'a tied model of which the file keeps the head in the place of the embedding',
    from: 'safetensors',
    input: { config: { tie_word_embeddings: true }, rename: (name) => (name === EMBEDDING ? HEAD : name) },
    gives: trains(20),
    advice: 'The head is taken for both.',
  },
  {
    name: 'tensors that are called _orig_mod, as torch.compile does',
    from: 'PyTorch',
    input: { rename: (name) => `_orig_mod.${name}` },
    refusal:
      /lacks the tensor model\.embed_tokens\.weight \[31, 16\], and has _orig_mod\.model\.embed_tokens\.weight in its place; save the model with save_pretrained/,
    advice: 'Save the model with `save_pretrained`, not its wrapper.',
  },
  {
    name: 'tensors without "model." in front, as of a model without its head',
    from: 'transformers',
    input: { rename: (name) => name.replace(/^model\./, '') },
    refusal: /lacks the tensor model\.embed_tokens\.weight \[31, 16\], and has embed_tokens\.weight in its place/,
    advice: 'Save the model for causal language modelling, with its head.',
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
    input: { config: { model_type: 'qwen2' }, stored: { 'model.layers.1.self_attn.k_proj.bias': { shape: [] } } },
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

export const BUILT_IN_WEIGHTS: FieldTable<BroughtModel> = {
  title: 'Weights for the built-in trainer',
  intro: 'Tensors have the names of transformers. What is missing, or not known, is named before anything is trained.',
  run: (input, { folder, warn }) => trainBrought(input, folder, warn),
  rows,
};
