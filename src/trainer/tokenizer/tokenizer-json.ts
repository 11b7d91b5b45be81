// Writes a trained BPE as the files that Hugging Face reads: tokenizer.json, tokenizer_config.json.
import { SPECIAL_TOKENS, type TrainedBpe } from './train-bpe.js';

/** `tokenizer.json` of the tokenizers library. */
export function tokenizerJson({ vocabulary, merges }: TrainedBpe): string {
  const special = Object.values(SPECIAL_TOKENS).map((content) => ({
    id: vocabulary[content],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabulary,
      merges,
    },
  };
  return `${JSON.stringify(json)}\n`;
}

const TURNS =
  "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}";
/** The chat template of our own tokenizers: text alone, each turn behind its role. */
export const OWN_CHAT_TEMPLATE = `${TURNS}{% if add_generation_prompt %}{{ '${SPECIAL_TOKENS.assistant}' }}{% endif %}`;

/** `tokenizer_config.json`, with the chat template that training uses. */
export function tokenizerConfigJson(maxPositions: number): string {
  const { pad, end, user, assistant } = SPECIAL_TOKENS;
  const json = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: maxPositions,
    pad_token: pad,
    eos_token: end,
    additional_special_tokens: [user, assistant],
    clean_up_tokenization_spaces: false,
    chat_template: OWN_CHAT_TEMPLATE,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}
