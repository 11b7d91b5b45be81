// Samples as tokens: the part that the loss covers, cut answers, skipped samples.
import { expect, test } from 'vitest';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { encodeSamples, promptTokens } from './encode-sample.js';

/** One token for each character; the end is 1. */
function characters(turns?: Tokenizer['turns']): Tokenizer {
  return {
    vocabularySize: 1000,
    endToken: 1,
    padToken: 0,
    turns,
    encode: (text) => [...text].map((character) => character.charCodeAt(0)),
    encodeRendered: (text) => [...text].map((character) => character.charCodeAt(0)),
    around: { before: [], after: [] },
    decode: (tokens) => String.fromCharCode(...tokens),
  };
}
const ours = characters({ user: 2, assistant: 3 });
const codes = (text: string) => [...text].map((character) => character.charCodeAt(0));

test('prompt, answer and end, with the turns of our own tokenizers', () => {
  const { examples, skipped, truncated } = encodeSamples(ours, [{ prompt: 'ab', answer: 'cd', category: 'x' }], 32);
  expect({ skipped, truncated }).toEqual({ skipped: 0, truncated: 0 });
  expect(examples).toEqual([{ tokens: Int32Array.from([2, ...codes('ab'), 3, ...codes('cd'), 1]), promptTokens: 4, category: 'x' }]);
});

test('a tokenizer without turns gets headings, the same in training and in use', () => {
  const plain = characters();
  const { examples } = encodeSamples(plain, [{ prompt: 'ab', answer: 'c' }], 99);
  const heading = '### Instruction:\nab\n\n### Response:\n';
  expect(plain.decode(promptTokens(plain, 'ab'))).toBe(heading);
  expect([...(examples[0]?.tokens ?? [])]).toEqual([...codes(`${heading}c`), 1]);
  expect(examples[0]?.promptTokens).toBe(heading.length);
});

test('a long answer is cut, a prompt that leaves no room is left out', () => {
  const sample = { prompt: 'abcd', answer: 'xyz' }; // 6 tokens of prompt, 3 of answer, 1 of end
  const at = (maxTokens: number) => {
    const { examples, skipped, truncated } = encodeSamples(ours, [sample], maxTokens);
    return { length: examples[0]?.tokens.length, skipped, truncated };
  };
  expect(at(10)).toEqual({ length: 10, skipped: 0, truncated: 0 });
  expect(at(9)).toEqual({ length: 9, skipped: 0, truncated: 1 });
  expect(at(7)).toEqual({ length: 7, skipped: 0, truncated: 1 });
  expect(at(6)).toEqual({ length: undefined, skipped: 1, truncated: 0 });
});
