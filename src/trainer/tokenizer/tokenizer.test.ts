import fc from 'fast-check';
import { expect, test } from 'vitest';
import { generateTasks } from '../data/generate/generate-tasks.js';
import { loadTokenizer } from './tokenizer.js';
import { tokenizerConfigJson, tokenizerJson } from './tokenizer-json.js';
import { trainBpe } from './train-bpe.js';

const tasks = generateTasks(17, 900);
const bpe = trainBpe(
  tasks.flatMap(({ prompt, answer }) => [prompt, answer]),
  400,
);
const tokenizer = loadTokenizer(tokenizerJson(bpe), tokenizerConfigJson(64), 'test');

test('any text comes back from its tokens', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }),
  );
});

test('the same texts give the same tokenizer, merges in the order of their counts', () => {
  expect(trainBpe(['low low low lower'], 300)).toEqual(trainBpe(['low low low lower'], 300));
  expect(trainBpe(['aaab aaab', 'ab'], 262).merges).toEqual([
    ['a', 'a'],
    ['a', 'b'],
  ]);
  expect(() => trainBpe(['a'], 100)).toThrow(/no room/);
});

test.each([
  ['{', /is not JSON/],
  ['[]', /is not a JSON object/],
  ['{"model":{"type":"Nonsense"}}', /cannot be used as a tokenizer|does not say which token/],
])('a tokenizer.json that cannot be is refused: %s', (json, message) => {
  expect(() => loadTokenizer(json, undefined, 'tokenizer.json')).toThrow(message);
});
