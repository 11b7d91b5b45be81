// Loads a tokenizer from the files of a model folder, with Hugging Face's own library.
import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { FedStreamError } from '../../core/errors.js';
import { aroundText } from './around-text.js';
import { type ChatTemplate, chatTemplate } from './chat-template.js';
import { withExactRules } from './exact-rules.js';
import { textEncoder } from './text-encoder.js';
import { SPECIAL_TOKENS } from './train-bpe.js';

/** A tokenizer, as training needs it. */
export interface Tokenizer {
  /** The largest id plus one. */
  readonly vocabularySize: number;
  /** The token that ends an answer. */
  readonly endToken: number;
  readonly padToken: number;
  /** The tokens that begin turns, if the tokenizer has them. */
  readonly turns?: { readonly user: number; readonly assistant: number };
  /** Tokens of a text; adds no special token, and one that is spelt out in the text stays text. */
  encode(text: string): number[];
  /** Tokens of a text that a chat template rendered: special tokens in it are special. */
  encodeRendered(text: string): number[];
  /** Tokens that the tokenizer puts before and after a text that stands for itself, such as BOS. */
  readonly around: { readonly before: readonly number[]; readonly after: readonly number[] };
  /** The model's chat template, if it has one. */
  readonly chat?: ChatTemplate;
  decode(tokens: readonly number[]): string;
}

/** End tokens of known families, for a `tokenizer_config.json` that names none. */
const KNOWN_ENDS = [SPECIAL_TOKENS.end, '<|end_of_text|>', '<|endoftext|>', '</s>'];

/** Loads a tokenizer; throws `bad-model`, which names `source`, if the files cannot be used. */
export function loadTokenizer(json: string, configJson: string | undefined, source: string, templateFile?: string): Tokenizer {
  const parsed = parse(json, source);
  const config = configJson === undefined ? {} : parse(configJson, `${source} (tokenizer_config.json)`);
  const tokenizer = construct(parsed, config, source);
  const ids = tokenIds(parsed);
  const named = (token: unknown): number | undefined =>
    ids.get(typeof token === 'object' && token !== null ? String((token as { content?: unknown }).content) : String(token));
  const endToken = named(config.eos_token) ?? KNOWN_ENDS.map(named).find((id) => id !== undefined);
  if (endToken === undefined)
    throw new FedStreamError('bad-model', `${source} does not say which token ends a text; set eos_token in tokenizer_config.json`);
  const encode = textEncoder(parsed, tokenizer, source);
  encode('a', true); // fails here rather than at the first sample
  const chat = chatTemplate(config, templateFile, source);
  const user = named(SPECIAL_TOKENS.user);
  const assistant = named(SPECIAL_TOKENS.assistant);
  return {
    vocabularySize: [...ids.values()].reduce((most, id) => Math.max(most, id), -1) + 1,
    endToken,
    padToken: named(config.pad_token) ?? named(SPECIAL_TOKENS.pad) ?? endToken,
    turns: user !== undefined && assistant !== undefined ? { user, assistant } : undefined,
    encode: (text) => encode(text, true),
    encodeRendered: (text) => encode(text, false),
    around: aroundText(parsed),
    ...(chat && { chat }),
    decode: (tokens) =>
      tokens.length === 0 ? '' : tokenizer.decode([...tokens], { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
  };
}

function parse(text: string, source: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new FedStreamError('bad-model', `${source} is not JSON: ${(cause as Error).message}`, { cause });
  }
  throw new FedStreamError('bad-model', `${source} is not a JSON object`);
}

function construct(json: Record<string, unknown>, config: Record<string, unknown>, source: string): HfTokenizer {
  try {
    return new HfTokenizer(withExactRules(json), config);
  } catch (cause) {
    throw new FedStreamError('bad-model', `${source} cannot be used as a tokenizer: ${(cause as Error).message}`, { cause });
  }
}

/** Token → id, from the model's vocabulary and the added tokens. */
function tokenIds(json: Record<string, unknown>): Map<string, number> {
  const { vocab } = (json.model ?? {}) as { vocab?: unknown };
  const pairs: [string, number][] = Array.isArray(vocab)
    ? vocab.map((entry, id) => [String(Array.isArray(entry) ? entry[0] : entry), id])
    : Object.entries((vocab ?? {}) as Record<string, number>);
  for (const token of Array.isArray(json.added_tokens) ? json.added_tokens : []) pairs.push([String(token?.content), Number(token?.id)]);
  return new Map(pairs.filter(([, id]) => Number.isSafeInteger(id) && id >= 0));
}
