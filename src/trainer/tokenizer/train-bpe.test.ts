// BPE training: known merges, the same every time, and a comparison with a slow, plain way.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { randomStream } from '../../core/random.js';
import { byteWord, WORD_PATTERN } from './byte-level.js';
import { trainBpe } from './train-bpe.js';

test('the most frequent pair goes first, a tie by code units', () => {
  expect(trainBpe(['low low low lower lower'], 264).merges).toEqual([
    ['l', 'o'],
    ['lo', 'w'],
    ['Ġ', 'low'],
    ['e', 'r'],
  ]);
});

test('training ends where no pair occurs twice', () => {
  const { vocabulary, merges } = trainBpe(['ab ab'], 1000);
  expect(merges).toEqual([['a', 'b']]);
  expect(Object.keys(vocabulary)).toHaveLength(261);
});

test('ids have no gaps', () => {
  const words = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'ü'), maxLength: 8 }), { maxLength: 60 });
  fc.assert(
    fc.property(words, (texts) => {
      const ids = Object.values(trainBpe([texts.join(' ')], 300).vocabulary).sort((a, b) => a - b);
      expect(ids).toEqual([...ids.keys()]);
      expect(ids.length).toBeLessThanOrEqual(300);
    }),
    { seed: 1 },
  );
});

test('incremental counts find what counting anew finds', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '1', "'"), maxLength: 12 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), (texts) => {
      expect(trainBpe(texts, 290).merges).toEqual(slowMerges(texts, 290));
    }),
    { seed: 2 },
  );
});

test('a vocabulary that cannot hold the bytes is refused', () => {
  expect(() => trainBpe(['a'], 259)).toThrow(/a vocabulary of 259 has no room for the 260 bytes and special tokens/);
});

/** Counts all pairs of all words again for every merge. */
function slowMerges(texts: readonly string[], vocabularySize: number): [string, string][] {
  const words = texts.flatMap((text) => [...text.matchAll(WORD_PATTERN)].map(([word]) => [...byteWord(word)]));
  const tokens = new Set<string>();
  const merges: [string, string][] = [];
  while (260 + tokens.size < vocabularySize) {
    const counts = new Map<string, number>();
    for (const parts of words)
      for (let i = 0; i + 1 < parts.length; i++)
        counts.set(`${parts[i]}\u0000${parts[i + 1]}`, (counts.get(`${parts[i]}\u0000${parts[i + 1]}`) ?? 0) + 1);
    const best = [...counts].filter(([, count]) => count > 1).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0];
    if (!best) break;
    const [left, right] = best[0].split('\u0000') as [string, string];
    merges.push([left, right]);
    tokens.add(left + right);
    for (const parts of words)
      for (let i = 0; i + 1 < parts.length; i++) if (parts[i] === left && parts[i + 1] === right) parts.splice(i, 2, left + right);
  }
  return merges;
}

test('a word of 100,000 letters costs no more than its letters', { timeout: 30_000 }, () => {
  const random = randomStream(5, 'letters');
  const letters = Array.from({ length: 100_000 }, () => String.fromCharCode(97 + random.integer(26))).join('');
  expect(trainBpe([letters], 1024).merges).toHaveLength(1024 - 260);
  expect(trainBpe(['a'.repeat(100_000)], 1024).merges.slice(0, 2)).toEqual([
    ['a', 'a'],
    ['aa', 'aa'],
  ]);
});
