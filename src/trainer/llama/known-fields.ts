// The fields of a `config.json` that leave the mathematics of a model alone, and the refusal of
// every other one that the trainer does not read.
import { FedStreamError } from '../../core/errors.js';

/** Fields that say who made the model, with what, and for which program. */
const ABOUT = [
  'architectures auto_map model_type torch_dtype dtype transformers_version name_or_path tokenizer_class',
  'prefix language license is_llama_config unsloth_version unsloth_fixed transformers.js_config max_sequence_length',
  'model_max_length max_seq_len seq_length n_ctx n_positions',
].flatMap((names) => names.split(' '));

/** Fields of special tokens, of other heads than a language model's, and of what calls return. */
const AROUND = [
  'bos_token_id eos_token_id sep_token_id unk_token_id mask_token_id decoder_start_token_id',
  'id2label label2id num_labels problem_type finetuning_task task_specific_params use_cache return_dict use_return_dict',
  'output_hidden_states output_attentions torchscript use_bfloat16 tf_legacy_loss is_decoder attn_implementation',
].flatMap((names) => names.split(' '));

/** Fields that say how the same product is computed, and do not change it. */
const HOW = ['pretraining_tp', 'chunk_size_feed_forward', 'use_flash_attention', 'gradient_checkpointing'];

/** Settings of generation, which older versions of transformers keep in `config.json`. */
const GENERATION = [
  'max_length min_length max_new_tokens do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature',
  'top_k top_p typical_p min_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size',
  'bad_words_ids num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id',
  'remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens',
].flatMap((names) => names.split(' '));

const HARMLESS: ReadonlySet<string> = new Set([...ABOUT, ...AROUND, ...HOW, ...GENERATION]);

/** Where the advice is better than the one that every other field gets. */
const ADVICE: Readonly<Record<string, string>> = {
  quantization_config: 'these weights are quantized; train the model that they were made from',
};

/**
 * Throws `bad-model`, which names the first field of `json` that is neither in `read` nor known to
 * be harmless. A field that is switched off (null, false, empty, a dropout of 0) is no objection, and
 * names that begin with an underscore are notes of transformers to itself.
 */
export function refuseUnknownFields(
  json: Readonly<Record<string, unknown>>,
  read: ReadonlySet<string>,
  model: string,
  source: string,
): void {
  for (const [name, value] of Object.entries(json)) {
    if (read.has(name) || HARMLESS.has(name) || name.startsWith('_') || isOff(value) || (value === 0 && /drop/.test(name))) continue;
    const advice = ADVICE[name] ?? 'remove the field if it changes nothing, or train with a program of your own (docs/site.md)';
    throw new FedStreamError(
      'bad-model',
      `${source}: ${name} is ${shown(value)}, and the built-in trainer does not know what it changes in a ${model} model; ${advice}`,
    );
  }
}

/** True for a value that switches a field off, or says nothing. */
export function isOff(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** A value in a message, cut to a line. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
