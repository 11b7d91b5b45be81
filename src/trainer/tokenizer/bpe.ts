// Byte-pair encoding of a word, as the reference does it, in time that grows with n log n of its
// length.
import { FedStreamError } from '../../core/errors.js';
import { MergeQueue } from './merge-queue.js';

/** Words that are kept with their tokens. */
const MOST_CACHED = 10_000;
const LONGEST_CACHED = 256;
/** A key for a pair of ids; ids are below 2^26, so a double holds it exactly. */
const PAIR = 2 ** 26;

/** Turns a word into ids. */
export type EncodeWord = (word: string) => readonly number[];

interface BpeModel {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly [string, string])[];
  readonly unk_token?: string | null;
  readonly fuse_unk?: boolean;
  readonly byte_fallback?: boolean;
  readonly ignore_merges?: boolean;
  readonly continuing_subword_prefix?: string | null;
  readonly end_of_word_suffix?: string | null;
  readonly dropout?: number | null;
}

/**
 * Makes the encoder of a model; throws `bad-model` for one that has no deterministic meaning or no
 * tokens for its merges.
 */
export function bpeEncoder(json: unknown, source: string): EncodeWord {
  const model = json as BpeModel;
  if (model.dropout)
    throw new FedStreamError('bad-model', `${source}: a BPE with dropout gives other tokens every time; set dropout to null`);
  const vocab = new Map(Object.entries(model.vocab));
  const prefix = model.continuing_subword_prefix ?? '';
  const suffix = model.end_of_word_suffix ?? '';
  const merges = mergesOf(model, vocab, prefix, source);
  const unknown = model.unk_token == null ? undefined : vocab.get(model.unk_token);
  const bytes = model.byte_fallback ? byteTokens(vocab) : undefined;
  const cache = new Map<string, readonly number[]>();

  const symbolsOf = (word: string): number[] => {
    const symbols: number[] = [];
    const characters = [...word];
    let lastUnknown = false;
    for (const [index, character] of characters.entries()) {
      const text = `${index > 0 ? prefix : ''}${character}${index === characters.length - 1 ? suffix : ''}`;
      const id = vocab.get(text);
      const spelled = id === undefined && bytes ? spell(text, bytes) : undefined;
      if (id !== undefined) symbols.push(id);
      else if (spelled) symbols.push(...spelled);
      else if (unknown !== undefined && !(lastUnknown && model.fuse_unk)) symbols.push(unknown);
      lastUnknown = id === undefined && !spelled;
    }
    return symbols;
  };

  return (word) => {
    const cached = cache.get(word);
    if (cached) return cached;
    const whole = model.ignore_merges ? vocab.get(word) : undefined;
    const ids = whole === undefined ? mergeAll(symbolsOf(word), merges) : [whole];
    if (word.length <= LONGEST_CACHED) {
      if (cache.size >= MOST_CACHED) cache.clear();
      cache.set(word, ids);
    }
    return ids;
  };
}

interface Merge {
  readonly rank: number;
  readonly id: number;
}

function mergesOf({ merges }: BpeModel, vocab: ReadonlyMap<string, number>, prefix: string, source: string): Map<number, Merge> {
  const found = new Map<number, Merge>();
  for (const [rank, merge] of merges.entries()) {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ', 2) : merge;
    const id = vocab.get(left + right.slice(prefix.length));
    const [first, second] = [vocab.get(left), vocab.get(right)];
    if (id === undefined || first === undefined || second === undefined)
      throw new FedStreamError(
        'bad-model',
        `${source} cannot be used as a tokenizer: its merge ${JSON.stringify([left, right])} is not in the vocabulary`,
      );
    found.set(first * PAIR + second, { rank, id });
  }
  return found;
}

/** The tokens of the bytes (`<0x0A>`), where a vocabulary has them. */
export function byteTokens(vocab: ReadonlyMap<string, number>): (number | undefined)[] {
  return Array.from({ length: 256 }, (_, byte) => vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`));
}

/** The bytes of a text as tokens; undefined if one has none. */
export function spell(text: string, bytes: readonly (number | undefined)[]): number[] | undefined {
  const ids = Array.from(new TextEncoder().encode(text), (byte) => bytes[byte]);
  return ids.every((id) => id !== undefined) ? (ids as number[]) : undefined;
}

/** Merges neighbours, the lowest rank first and from the left, until there is none to merge. */
function mergeAll(symbols: number[], merges: ReadonlyMap<number, Merge>): number[] {
  const { length } = symbols;
  if (length < 2) return symbols;
  const next = Int32Array.from({ length }, (_, at) => at + 1);
  const previous = Int32Array.from({ length }, (_, at) => at - 1);
  const queue = new MergeQueue();
  const offer = (at: number): void => {
    const right = next[at] as number;
    const merge = right < length ? merges.get((symbols[at] as number) * PAIR + (symbols[right] as number)) : undefined;
    if (merge) queue.push(merge.rank, at, merge.id);
  };
  for (let at = 0; at + 1 < length; at++) offer(at);
  for (let top = queue.pop(); top; top = queue.pop()) {
    const { at, id } = top;
    const right = next[at] as number;
    if ((symbols[at] as number) < 0 || right >= length) continue;
    const merge = merges.get((symbols[at] as number) * PAIR + (symbols[right] as number));
    if (merge?.id !== id || merge.rank !== top.rank) continue;
    symbols[at] = id;
    symbols[right] = -1;
    const after = next[right] as number;
    next[at] = after;
    if (after < length) previous[after] = at;
    if ((previous[at] as number) >= 0) offer(previous[at] as number);
    offer(at);
  }
  return symbols.filter((id) => id >= 0);
}
