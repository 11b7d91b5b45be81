// Tokenizers and chat templates that people bring.
import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { bpeEncoder } from '../../src/trainer/tokenizer/bpe.js';
import { testTable } from './situation.js';
import { TOKENS } from './tokens.js';

testTable(TOKENS);

test('a word of 400,000 letters takes time in proportion', () => {
  const encode = bpeEncoder(
    {
      vocab: { a: 0, aa: 1, aaaa: 2 },
      merges: [
        ['a', 'a'],
        ['aa', 'aa'],
      ],
    },
    'x',
  );
  const took = (length: number): number => {
    const startedMs = performance.now();
    expect(encode('a'.repeat(length))).toHaveLength(length / 4);
    return performance.now() - startedMs;
  };
  took(40_000);
  // A square would be a hundred times as long; the slack is for other processes.
  expect(took(400_000)).toBeLessThan(40 * Math.max(took(40_000), 5));
});
