// Loads a tokenizer from the files of a model folder, with Hugging Face's own library.
import { Tokenizer as HfTokenizer } from '@huggingface/tokenizers';
import { FedStreamError } from '../../core/errors.js';
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
  decode(tokens: readonly number[]): string;
}

/** End tokens of known families, for a `tokenizer_config.json` that names none. */
const KNOWN_ENDS = [SPECIAL_TOKENS.end, '<|end_of_text|>', '<|endoftext|>', '</s>'];

/** Loads a tokenizer; throws `bad-model`, which names `source`, if the files cannot be used. */
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
  const special = specialTokens(parsed);
  encodePiece(tokenizer, 'a', source); // fails here rather than at the first sample
  const user = named(SPECIAL_TOKENS.user);
  const assistant = named(SPECIAL_TOKENS.assistant);
  return {
    vocabularySize: [...ids.values()].reduce((most, id) => Math.max(most, id), -1) + 1,
    endToken,
    padToken: named(config.pad_token) ?? named(SPECIAL_TOKENS.pad) ?? endToken,
    turns: user !== undefined && assistant !== undefined ? { user, assistant } : undefined,
    encode: (text) => piecesWithout(special, text).flatMap((piece) => encodePiece(tokenizer, piece, source)),
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

function encodePiece(tokenizer: HfTokenizer, piece: string, source: string): number[] {
  let ids: number[] | undefined;
  let cause: unknown;
  try {
    ids = tokenizer.encode(piece, { add_special_tokens: false }).ids;
  } catch (thrown) {
    cause = thrown;
  }
  if (ids?.every((id) => Number.isSafeInteger(id) && id >= 0)) return ids;
  throw new FedStreamError(
    'bad-model',
    `${source} has no tokens for ${JSON.stringify(piece.slice(0, 40))}; its vocabulary is not complete`,
    {
      cause,
    },
  );
}

/**
 * Cuts after the first character of every special token in the text, so that no piece has a whole
 * one.
 */
function piecesWithout(special: RegExp | undefined, text: string): string[] {
  const pieces: string[] = [];
  let rest = text;
  for (let found = special?.exec(rest); found; found = special?.exec(rest)) {
    const cut = found.index + String.fromCodePoint(rest.codePointAt(found.index) as number).length;
    pieces.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return rest === '' ? pieces : [...pieces, rest];
}

function specialTokens(json: Record<string, unknown>): RegExp | undefined {
  const added: { content?: unknown; special?: unknown }[] = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  const contents = added.filter(({ content, special }) => special === true && typeof content === 'string' && content.length > 1);
  if (contents.length === 0) return undefined;
  return new RegExp(contents.map(({ content }) => String(content).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'), 'u');
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
