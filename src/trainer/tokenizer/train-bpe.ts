// Trains a byte-level BPE (Sennrich et al. 2016), which merges the most frequent pair repeatedly;
// the same texts give the same merges.
import { FedStreamError } from '../../core/errors.js';
import { BYTE_CHARACTERS, byteWord, WORD_PATTERN } from './byte-level.js';

/** Special tokens of our own tokenizers, with the ids that they get. */
export const SPECIAL_TOKENS = { pad: '<|pad|>', end: '<|end|>', user: '<|user|>', assistant: '<|assistant|>' } as const;

/** A vocabulary and its merges. */
export interface TrainedBpe {
  /** Token → id, without gaps: special tokens, the 256 bytes, then the merged tokens. */
  readonly vocabulary: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
}

interface Word {
  parts: string[];
  readonly count: number;
}

/**
 * Trains a vocabulary. Ties go to the pair that comes first by code units. Training stops early
 * once no pair occurs twice. Throws `bad-argument` for a vocabulary that cannot hold the bytes.
 */
export function trainBpe(texts: Iterable<string>, vocabularySize: number): TrainedBpe {
  const base = [...Object.values(SPECIAL_TOKENS), ...BYTE_CHARACTERS];
  if (vocabularySize < base.length)
    throw new FedStreamError(
      'bad-argument',
      `a vocabulary of ${vocabularySize} has no room for the ${base.length} bytes and special tokens`,
    );
  const pairs = new PairCounts(countWords(texts));
  const merges: [string, string][] = [];
  // A set: if two merges make the same token, it keeps its first id, and ids have no gaps.
  const tokens = new Set(base);
  while (tokens.size < vocabularySize) {
    const best = pairs.best();
    if (!best) break;
    merges.push(best);
    tokens.add(best[0] + best[1]);
    pairs.merge(best);
  }
  return { vocabulary: Object.fromEntries([...tokens].map((token, id) => [token, id])), merges };
}

function countWords(texts: Iterable<string>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) for (const [word] of text.matchAll(WORD_PATTERN)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => ({ parts: [...byteWord(word)], count }));
}

/** Counts of neighbouring parts; a merge updates only the words that hold the merged pair. */
class PairCounts {
  readonly #counts = new Map<string, number>();
  readonly #homes = new Map<string, Set<Word>>();

  constructor(words: readonly Word[]) {
    for (const word of words) this.#add(word, 1);
  }

  best(): [string, string] | undefined {
    let best: string | undefined;
    let most = 1;
    for (const [pair, count] of this.#counts) {
      if (count > most || (count === most && best !== undefined && pair < best)) {
        best = pair;
        most = count;
      }
    }
    return best?.split('\u0000') as [string, string] | undefined;
  }

  merge([left, right]: readonly [string, string]): void {
    const words = [...(this.#homes.get(`${left}\u0000${right}`) ?? [])];
    for (const word of words) {
      this.#add(word, -1);
      word.parts = mergeParts(word.parts, left, right);
      this.#add(word, 1);
    }
  }

  #add(word: Word, sign: 1 | -1): void {
    for (let i = 0; i + 1 < word.parts.length; i++) {
      const pair = `${word.parts[i]}\u0000${word.parts[i + 1]}`;
      const count = (this.#counts.get(pair) ?? 0) + sign * word.count;
      if (count > 0) this.#counts.set(pair, count);
      else this.#counts.delete(pair);
      const homes = this.#homes.get(pair) ?? new Set<Word>();
      if (sign > 0) homes.add(word);
      else homes.delete(word);
      this.#homes.set(pair, homes);
    }
  }
}

function mergeParts(parts: readonly string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === left && parts[i + 1] === right) {
      merged.push(left + right);
      i++;
    } else merged.push(parts[i] as string);
  }
  return merged;
}
