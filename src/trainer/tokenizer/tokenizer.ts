// A tokenizer from the files of a model folder, read by Hugging Face's own library.
import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { FedStreamError } from '../../core/errors.js';
import { SPECIAL_TOKENS } from './train-bpe.js';

/** What training needs of a tokenizer. */
export interface Tokenizer {
  /** One above the largest id. */
  readonly vocabularySize: number;
  /** Ends an answer. */
  readonly endToken: number;
  readonly padToken: number;
  /** The tokens of turns, where the tokenizer has them. */
  readonly turns?: { readonly user: number; readonly assistant: number };
  /** Without special tokens of its own accord. */
  encode(text: string): number[];
  decode(tokens: readonly number[]): string;
}

/** Ends of text that known families use, where `tokenizer_config.json` does not say. */
const KNOWN_ENDS = [SPECIAL_TOKENS.end, '<|end_of_text|>', '<|endoftext|>', '</s>'];

/** Throws `bad-model`, naming the source, where the files cannot be used. */
export function loadTokenizer(json: string, configJson: string | undefined, source: string): Tokenizer {
  const parsed = parse(json, source);
  const config = configJson === undefined ? {} : parse(configJson, `${source} (tokenizer_config.json)`);
  const tokenizer = construct(parsed, config, source);
  const ids = tokenIds(parsed);
  const named = (token: unknown): number | undefined =>
    ids.get(typeof token === 'object' && token !== null ? String((token as { content?: unknown }).content) : String(token));
  const endToken = named(config.eos_token) ?? KNOWN_ENDS.map(named).find((id) => id !== undefined);
  if (endToken === undefined)
    throw new FedStreamError('bad-model', `${source} does not say which token ends a text; set eos_token in tokenizer_config.json`);
  const user = named(SPECIAL_TOKENS.user);
  const assistant = named(SPECIAL_TOKENS.assistant);
  return {
    vocabularySize: [...ids.values()].reduce((most, id) => Math.max(most, id), -1) + 1,
    endToken,
    padToken: named(config.pad_token) ?? named(SPECIAL_TOKENS.pad) ?? endToken,
    turns: user !== undefined && assistant !== undefined ? { user, assistant } : undefined,
    encode: (text) => (text === '' ? [] : tokenizer.encode(text, { add_special_tokens: false }).ids),
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
    return new HfTokenizer(json, config);
  } catch (cause) {
    throw new FedStreamError('bad-model', `${source} cannot be used as a tokenizer: ${(cause as Error).message}`, { cause });
  }
}

/** Token → id, of the model's vocabulary and the added tokens. */
function tokenIds(json: Record<string, unknown>): Map<string, number> {
  const { vocab } = (json.model ?? {}) as { vocab?: unknown };
  const pairs: [string, number][] = Array.isArray(vocab)
    ? vocab.map((entry, id) => [String(Array.isArray(entry) ? entry[0] : entry), id])
    : Object.entries((vocab ?? {}) as Record<string, number>);
  for (const token of Array.isArray(json.added_tokens) ? json.added_tokens : []) pairs.push([String(token?.content), Number(token?.id)]);
  return new Map(pairs.filter(([, id]) => Number.isSafeInteger(id) && id >= 0));
}
