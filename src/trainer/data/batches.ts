// Which examples each step sees: a function of examples, seed and step alone, so that a run can begin anywhere.
import { randomStream, shuffle } from '../../core/random.js';
import type { Example } from '../example.js';
import { type Batch, IGNORED } from '../llama/batch.js';

export interface BatchSettings {
  readonly batchSize: number;
  /** Micro-batches a step. */
  readonly accumulate: number;
  readonly seed: number;
  readonly padToken: number;
}

export interface Batches {
  /** Steps in which every example is seen once (the last step reaches into the next epoch). */
  readonly stepsPerEpoch: number;
  /** The micro-batches of a step, counted from 1. */
  at(step: number): Batch[];
}

/**
 * Every epoch is a permutation seeded by seed and epoch only: the name of a site is no part of it, so that one site alone sees
 * what central training sees. Batches are full: an epoch's rest begins the first batch of the next.
 */
export function trainingBatches(examples: readonly Example[], { batchSize, accumulate, seed, padToken }: BatchSettings): Batches {
  const perStep = batchSize * accumulate;
  const permutations = new Map<number, number[]>();
  const permutation = (epoch: number): number[] => {
    let order = permutations.get(epoch);
    if (!order) {
      order = shuffle([...examples.keys()], randomStream(seed, 'epoch', epoch));
      if (permutations.size > 1) permutations.clear();
      permutations.set(epoch, order);
    }
    return order;
  };
  const exampleAt = (position: number): Example => {
    const order = permutation(Math.floor(position / examples.length));
    return examples[order[position % examples.length] as number] as Example;
  };
  return {
    stepsPerEpoch: Math.ceil(examples.length / perStep),
    at: (step) =>
      Array.from({ length: accumulate }, (_, micro) => {
        const first = (step - 1) * perStep + micro * batchSize;
        return toBatch(
          Array.from({ length: batchSize }, (_, i) => exampleAt(first + i)),
          padToken,
        );
      }),
  };
}

/** All examples once, those of similar length together. */
export function* evaluationBatches(examples: readonly Example[], batchSize: number, padToken: number): Generator<Batch> {
  const order = [...examples].sort((a, b) => a.tokens.length - b.tokens.length);
  for (let first = 0; first < order.length; first += batchSize) yield toBatch(order.slice(first, first + batchSize), padToken);
}

/** Sequences padded at their ends to a multiple of 8; the target of a position is the token after it, where that is part of the answer. */
export function toBatch(examples: readonly Example[], padToken: number): Batch {
  const longest = Math.max(...examples.map(({ tokens }) => tokens.length - 1));
  const sequence = Math.ceil(longest / 8) * 8;
  const tokens = new Int32Array(examples.length * sequence).fill(padToken);
  const targets = new Int32Array(examples.length * sequence).fill(IGNORED);
  for (const [row, example] of examples.entries()) {
    const inputs = example.tokens.subarray(0, -1);
    tokens.set(inputs, row * sequence);
    for (let at = example.promptTokens - 1; at < inputs.length; at++) targets[row * sequence + at] = example.tokens[at + 1] as number;
  }
  return { tokens, targets, batch: examples.length, sequence };
}
