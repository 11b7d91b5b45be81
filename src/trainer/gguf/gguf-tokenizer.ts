// Makes `tokenizer.json` and `tokenizer_config.json` of the fields of a GGUF file, where they say all
// that the tokenizer needs.
import { FedStreamError } from '../../core/errors.js';
import type { GgufFile } from '../../tensor/gguf/gguf-file.js';
import { preTokenizerOf } from './pre-tokenizers.js';

/** The texts of a tokenizer, or in words why they cannot be made exactly. */
export type GgufTokenizer = { readonly json: string; readonly configJson: string } | { readonly missing: string };

/** Kinds of tokens in `tokenizer.ggml.token_type`. */
const CONTROL = 3;
const USER_DEFINED = 4;

/**
 * The tokenizer of a file: byte-level BPE of the families whose rules are known. Throws
 * `bad-tensor-file` where its lists do not fit each other.
 */
export async function ggufTokenizer(file: GgufFile): Promise<GgufTokenizer> {
  const { fields } = file;
  const model = fields.get('tokenizer.ggml.model');
  const pre = fields.get('tokenizer.ggml.pre');
  if (model !== 'gpt2')
    return {
      missing: model === undefined ? 'the file has no tokenizer' : `a tokenizer of the model ${JSON.stringify(model)} is not made here`,
    };
  const rules = typeof pre === 'string' ? preTokenizerOf(pre) : undefined;
  if (!rules) return { missing: `the rules of the pre-tokenizer ${JSON.stringify(pre ?? 'of no name')} are not known here` };
  const tokens = await texts(file, 'tokenizer.ggml.tokens');
  const merges = await texts(file, 'tokenizer.ggml.merges');
  const types = ((await file.list('tokenizer.ggml.token_type')) ?? []) as number[];
  if (types.length !== 0 && types.length !== tokens.length)
    throw new FedStreamError(
      'bad-tensor-file',
      `${file.label}: its tokenizer has ${tokens.length} tokens and the kinds of ${types.length}`,
    );
  const added = tokens.flatMap((content, id) =>
    types[id] === CONTROL || types[id] === USER_DEFINED ? [addedToken(id, content, types[id] === CONTROL)] : [],
  );
  const isAdded = new Set(added.map(({ id }) => id));
  // A token may be called __proto__.
  const vocab: Record<string, number> = Object.create(null);
  for (const [id, token] of tokens.entries()) {
    if (Object.hasOwn(vocab, token))
      throw new FedStreamError('bad-tensor-file', `${file.label}: its tokenizer has the token ${JSON.stringify(token)} twice`);
    if (!isAdded.has(id)) vocab[token] = id;
  }
  const { normalizer, preTokenizer, ignoreMerges } = rules;
  const addBos = fields.get('tokenizer.ggml.add_bos_token') === true;
  const bos = tokenNamed(file, 'bos', tokens);
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer,
    pre_tokenizer: preTokenizer,
    post_processor: addBos && bos !== undefined ? template(bos) : null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab,
      merges,
    },
  };
  return { json: `${JSON.stringify(json)}\n`, configJson: configOf(file, tokens, addBos) };
}

async function texts(file: GgufFile, field: string): Promise<string[]> {
  const items = await file.list(field);
  if (items?.every((item) => typeof item === 'string')) return items;
  throw new FedStreamError('bad-tensor-file', `${file.label}: the field ${field} is no list of texts`);
}

function addedToken(id: number, content: string, special: boolean) {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

interface Named {
  readonly id: number;
  readonly content: string;
}

function tokenNamed({ fields }: GgufFile, which: string, tokens: readonly string[]): Named | undefined {
  const id = fields.get(`tokenizer.ggml.${which}_token_id`);
  const content = typeof id === 'number' ? tokens[id] : undefined;
  return content === undefined ? undefined : { id: id as number, content };
}

function template({ id, content }: Named) {
  const first = { SpecialToken: { id: content, type_id: 0 } };
  const text = (which: 'A' | 'B', type: number) => ({ Sequence: { id: which, type_id: type } });
  return {
    type: 'TemplateProcessing',
    single: [first, text('A', 0)],
    pair: [first, text('A', 0), { SpecialToken: { id: content, type_id: 1 } }, text('B', 1)],
    special_tokens: { [content]: { id: content, ids: [id], tokens: [content] } },
  };
}

function configOf(file: GgufFile, tokens: readonly string[], addBos: boolean): string {
  const context = file.fields.get(`${String(file.fields.get('general.architecture'))}.context_length`);
  const chat = file.fields.get('tokenizer.chat_template');
  const json = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...(typeof context === 'number' ? { model_max_length: context } : {}),
    bos_token: tokenNamed(file, 'bos', tokens)?.content ?? null,
    eos_token: tokenNamed(file, 'eos', tokens)?.content ?? null,
    pad_token: tokenNamed(file, 'padding', tokens)?.content ?? null,
    add_bos_token: addBos,
    clean_up_tokenization_spaces: false,
    ...(typeof chat === 'string' ? { chat_template: chat } : {}),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}
