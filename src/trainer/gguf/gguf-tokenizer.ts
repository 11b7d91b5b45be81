// Makes `tokenizer.json` and `tokenizer_config.json` of the fields of a GGUF file, where they say all
// that the tokenizer needs.
import { FedStreamError } from '../../core/errors.js';
import type { GgufFile } from '../../tensor/gguf/gguf-file.js';
import { preTokenizerOf } from './pre-tokenizers.js';
import { mergesOf, sentencePieceRules } from './sentencepiece.js';

/** The texts of a tokenizer, or in words why they cannot be made exactly. */
export type GgufTokenizer = { readonly json: string; readonly configJson: string } | { readonly missing: string };

/** Kinds of tokens in `tokenizer.ggml.token_type`. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

/**
 * The tokenizer of a file: byte-level BPE of the families whose rules are known, or BPE of
 * SentencePiece. Throws `bad-tensor-file` where its lists do not fit each other.
 */
export async function ggufTokenizer(file: GgufFile): Promise<GgufTokenizer> {
  const model = file.fields.get('tokenizer.ggml.model');
  if (model === undefined) return { missing: 'the file has no tokenizer' };
  if (model === 'gpt2') return byteLevel(file);
  return model === 'llama' ? sentencePiece(file) : { missing: `a tokenizer of the model ${JSON.stringify(model)} is not made here` };
}

async function byteLevel(file: GgufFile): Promise<GgufTokenizer> {
  const pre = file.fields.get('tokenizer.ggml.pre');
  const rules = typeof pre === 'string' ? preTokenizerOf(pre) : undefined;
  if (!rules) return { missing: `the rules of the pre-tokenizer ${JSON.stringify(pre ?? 'of no name')} are not known here` };
  const pieces = await readPieces(file);
  const merges = await texts(file, 'tokenizer.ggml.merges');
  const added = addedTokens(pieces, [CONTROL, USER_DEFINED]);
  const isAdded = new Set(added.map(({ id }) => id));
  return made(file, pieces.tokens, file.fields.get('tokenizer.ggml.add_bos_token') === true, {
    added_tokens: added,
    normalizer: rules.normalizer,
    pre_tokenizer: rules.preTokenizer,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { ...BPE, ignore_merges: rules.ignoreMerges, vocab: vocabOf(pieces.tokens, (id) => !isAdded.has(id)), merges },
  });
}

async function sentencePiece(file: GgufFile): Promise<GgufTokenizer> {
  const { fields } = file;
  const pieces = await readPieces(file);
  const scores = ((await file.list('tokenizer.ggml.scores')) ?? []) as number[];
  if (scores.length !== pieces.tokens.length)
    throw new FedStreamError(
      'bad-tensor-file',
      `${file.label}: its tokenizer has ${pieces.tokens.length} tokens and the scores of ${scores.length}`,
    );
  // Such pieces are taken whole before a text is changed, which tokenizer.json cannot say.
  if (pieces.kinds.includes(USER_DEFINED)) return { missing: 'a tokenizer of SentencePiece with pieces of its user is not made here' };
  if (fields.get('tokenizer.ggml.remove_extra_whitespaces') === true || fields.has('tokenizer.ggml.precompiled_charsmap'))
    return { missing: 'a tokenizer of SentencePiece that changes texts is not made here' };
  const merges = mergesOf({ tokens: pieces.tokens, scores }, new Map(pieces.tokens.map((token, id) => [token, id])));
  if (!merges) return { missing: 'its tokens are too long' };
  const { normalizer, decoder } = sentencePieceRules(fields.get('tokenizer.ggml.add_space_prefix') !== false);
  const unknown = pieces.tokens[pieces.kinds.indexOf(UNKNOWN)] ?? null;
  return made(file, pieces.tokens, fields.get('tokenizer.ggml.add_bos_token') !== false, {
    added_tokens: addedTokens(pieces, [UNKNOWN, CONTROL]),
    normalizer,
    pre_tokenizer: null,
    decoder,
    model: { ...BPE, unk_token: unknown, fuse_unk: true, byte_fallback: true, vocab: vocabOf(pieces.tokens), merges },
  });
}

/** The model of a `tokenizer.json`, but for its lists. */
const BPE = {
  type: 'BPE',
  dropout: null,
  unk_token: null as string | null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

function made(file: GgufFile, tokens: readonly string[], addBos: boolean, rules: object): GgufTokenizer {
  const bos = tokenNamed(file, 'bos', tokens);
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    ...rules,
    post_processor: addBos && bos !== undefined ? template(bos) : null,
  };
  return { json: `${JSON.stringify(json)}\n`, configJson: configOf(file, tokens, addBos) };
}

interface PieceList {
  readonly tokens: readonly string[];
  readonly kinds: readonly number[];
}

async function readPieces(file: GgufFile): Promise<PieceList> {
  const tokens = await texts(file, 'tokenizer.ggml.tokens');
  const kinds = ((await file.list('tokenizer.ggml.token_type')) ?? []) as number[];
  if (kinds.length !== 0 && kinds.length !== tokens.length)
    throw new FedStreamError(
      'bad-tensor-file',
      `${file.label}: its tokenizer has ${tokens.length} tokens and the kinds of ${kinds.length}`,
    );
  const seen = new Set<string>();
  for (const token of tokens) {
    if (seen.has(token))
      throw new FedStreamError('bad-tensor-file', `${file.label}: its tokenizer has the token ${JSON.stringify(token)} twice`);
    seen.add(token);
  }
  return { tokens, kinds };
}

function addedTokens({ tokens, kinds }: PieceList, which: readonly number[]) {
  return tokens.flatMap((content, id) =>
    which.includes(kinds[id] as number) ? [addedToken(id, content, kinds[id] !== USER_DEFINED)] : [],
  );
}

function vocabOf(tokens: readonly string[], keep: (id: number) => boolean = () => true): Record<string, number> {
  // A token may be called __proto__.
  const vocab: Record<string, number> = Object.create(null);
  for (const [id, token] of tokens.entries()) if (keep(id)) vocab[token] = id;
  return vocab;
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
