// Trains a byte-level BPE (Sennrich et al. 2016), which merges the most frequent pair repeatedly;
// the same texts give the same merges.
import { FedStreamError } from '../../core/errors.js';
import { BYTE_CHARACTERS, WORD_PATTERN } from './byte-level.js';
import { PairCounts } from './pair-counts.js';

/** Special tokens of our own tokenizers, with the ids that they get. */
export const SPECIAL_TOKENS = { pad: '<|pad|>', end: '<|end|>', user: '<|user|>', assistant: '<|assistant|>' } as const;

/** A vocabulary and its merges. */
export interface TrainedBpe {
  /** Token → id, without gaps: special tokens, the 256 bytes, then the merged tokens. */
  readonly vocabulary: Readonly<Record<string, number>>;
  readonly merges: readonly (readonly [string, string])[];
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
    merges.push([best.left, best.right]);
    tokens.add(best.left + best.right);
    pairs.merge(best);
  }
  return { vocabulary: Object.fromEntries([...tokens].map((token, id) => [token, id])), merges };
}

/** The different words of the texts, with how often each occurs. */
function countWords(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) for (const [word] of text.matchAll(WORD_PATTERN)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}
