import { expect, test } from 'vitest';
import { IGNORED } from '../llama/batch.js';
import { loadTokenizer } from '../tokenizer/tokenizer.js';
import { tokenizerConfigJson, tokenizerJson } from '../tokenizer/tokenizer-json.js';
import { trainBpe } from '../tokenizer/train-bpe.js';
import { toBatch, trainingBatches } from './batches.js';
import { encodeSamples } from './encode-sample.js';
import { generateTasks } from './generate/generate-tasks.js';

const tasks = generateTasks(17, 900);
const bpe = trainBpe(
  tasks.flatMap(({ prompt, answer }) => [prompt, answer]),
  400,
);
const tokenizer = loadTokenizer(tokenizerJson(bpe), tokenizerConfigJson(64), 'test');

test('the loss is on the answer and its end alone', () => {
  const { examples } = encodeSamples(tokenizer, [{ prompt: 'What is 1 plus 1?', answer: '2' }], 64);
  const example = examples[0] as (typeof examples)[number];
  const { tokens, targets, sequence } = toBatch(examples, tokenizer.padToken);
  expect(sequence % 8).toBe(0);
  const counted = [...targets].filter((target) => target !== IGNORED);
  expect(counted).toEqual([...tokenizer.encode('2'), tokenizer.endToken]);
  expect([...tokens.subarray(0, example.tokens.length - 1)]).toEqual([...example.tokens.subarray(0, -1)]);
});

test('too long prompts are skipped and too long answers cut, both counted', () => {
  const long = 'word '.repeat(100);
  expect(encodeSamples(tokenizer, [{ prompt: long, answer: 'a' }], 32)).toMatchObject({ examples: [], skipped: 1, truncated: 0 });
  const cut = encodeSamples(tokenizer, [{ prompt: 'a', answer: long }], 32);
  expect(cut).toMatchObject({ skipped: 0, truncated: 1 });
  expect(cut.examples[0]?.tokens).toHaveLength(32);
});

test('batches are a function of the step: every epoch sees every example once, and a run can begin anywhere', () => {
  const examples = Array.from({ length: 10 }, (_, i) => ({ tokens: Int32Array.of(i, i, 1), promptTokens: 1 }));
  const settings = { batchSize: 2, accumulate: 2, seed: 4, padToken: 0 };
  const seen = (from: number, to: number) => {
    const batches = trainingBatches(examples, settings);
    return Array.from({ length: to - from }, (_, i) =>
      batches.at(from + i).flatMap((batch) => [0, batch.sequence].map((at) => batch.tokens[at])),
    ).flat();
  };
  expect(trainingBatches(examples, settings).stepsPerEpoch).toBe(3);
  const straight = seen(1, 6);
  expect([...straight.slice(0, 10)].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect([...straight.slice(10, 20)].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(straight.slice(0, 10)).not.toEqual(straight.slice(10, 20));
  expect(seen(4, 6)).toEqual(straight.slice(12, 20));
});
