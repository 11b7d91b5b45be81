// Batches: the place of each example, and the tokens that count.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Example } from '../example.js';
import { IGNORED } from '../llama/batch.js';
import { type BatchSettings, evaluationBatches, toBatch, trainingBatches } from './batches.js';

/** Example i: a prompt of two tokens and an answer that is i + 10, as often as i % 5 + 1 says. */
const examples = (count: number): Example[] =>
  Array.from({ length: count }, (_, i) => ({ tokens: Int32Array.from([2, 3, ...Array(1 + (i % 5)).fill(i + 10), 1]), promptTokens: 2 }));
const settings: BatchSettings = { batchSize: 4, accumulate: 1, seed: 7, padToken: 0 };

/** The numbers of a step's examples. */
function seen(step: number, all: readonly Example[], changed: Partial<BatchSettings> = {}): number[] {
  return trainingBatches(all, { ...settings, ...changed })
    .at(step)
    .flatMap(({ tokens, batch, sequence }) => Array.from({ length: batch }, (_, row) => (tokens[row * sequence + 2] as number) - 10));
}

test('every epoch sees every example once, in an order of its own, across the seams of epochs', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 3 }),
      (count, batchSize, accumulate) => {
        const all = examples(count);
        const perStep = batchSize * accumulate;
        const steps = Math.ceil((3 * count) / perStep);
        const order = Array.from({ length: steps }, (_, i) => seen(i + 1, all, { batchSize, accumulate })).flat();
        expect(order).toHaveLength(steps * perStep);
        for (let epoch = 0; epoch < 3; epoch++)
          expect(order.slice(epoch * count, (epoch + 1) * count).sort((a, b) => a - b)).toEqual([...Array(count).keys()]);
        expect(trainingBatches(all, { ...settings, batchSize, accumulate }).stepsPerEpoch).toBe(Math.ceil(count / perStep));
      },
    ),
    { seed: 1, numRuns: 50 },
  );
  const all = examples(40);
  const epoch = (number: number) => Array.from({ length: 10 }, (_, i) => seen(number * 10 + i + 1, all)).flat();
  expect(epoch(0)).not.toEqual(epoch(1));
});

test('a step is a function of examples, seed and step, in whatever order it is asked for', () => {
  const all = examples(30);
  const batches = trainingBatches(all, settings);
  const forwards = Array.from({ length: 40 }, (_, i) => batches.at(i + 1));
  for (const step of [40, 1, 17, 8, 39, 9, 2]) {
    expect(batches.at(step)).toEqual(forwards[step - 1]);
    expect(trainingBatches(all, settings).at(step)).toEqual(forwards[step - 1]);
  }
  expect(seen(1, all, { seed: 8 })).not.toEqual(seen(1, all));
});

test('micro-batches are the parts of one larger batch', () => {
  const all = examples(30);
  expect(seen(3, all, { batchSize: 2, accumulate: 4 })).toEqual(seen(3, all, { batchSize: 8, accumulate: 1 }));
});

test('the loss covers only answers and ends; rows are padded at their ends', () => {
  const batch = toBatch(
    [
      { tokens: Int32Array.from([2, 5, 3, 20, 21, 1]), promptTokens: 3 },
      { tokens: Int32Array.from([2, 3, 30]), promptTokens: 2 },
    ],
    0,
  );
  const none = IGNORED;
  expect({ batch: batch.batch, sequence: batch.sequence }).toEqual({ batch: 2, sequence: 8 });
  expect([...batch.tokens]).toEqual([2, 5, 3, 20, 21, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0]);
  expect([...batch.targets]).toEqual([none, none, 20, 21, 1, none, none, none, none, 30, none, none, none, none, none, none]);
});

test('a row of 9 tokens needs 8 positions, one of 10 needs 16', () => {
  const of = (length: number) => toBatch([{ tokens: new Int32Array(length).fill(5), promptTokens: 1 }], 0).sequence;
  expect([2, 9, 10, 17, 18].map(of)).toEqual([8, 8, 16, 16, 24]);
});

test('an evaluation sees every example once, the last batch may be short', () => {
  const all = examples(23);
  const batches = [...evaluationBatches(all, 5, 0)];
  expect(batches.map(({ batch }) => batch)).toEqual([5, 5, 5, 5, 3]);
  const found = batches.flatMap(({ tokens, batch, sequence }) =>
    Array.from({ length: batch }, (_, row) => (tokens[row * sequence + 2] as number) - 10),
  );
  expect(found.sort((a, b) => a - b)).toEqual([...Array(23).keys()]);
  expect([...evaluationBatches([], 5, 0)]).toEqual([]);
});
