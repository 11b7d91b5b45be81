// Chooses each step's examples from examples, seed and step alone, so that a run can begin
// anywhere.
import { randomStream, shuffle } from '../../core/random.js';
import type { Example } from '../example.js';
import { type Batch, IGNORED } from '../llama/batch.js';

/** Settings of batches. */
export interface BatchSettings {
  readonly batchSize: number;
  /** Micro-batches in each step. */
  readonly accumulate: number;
  readonly seed: number;
  readonly padToken: number;
}

/** The batches of a training run. */
export interface Batches {
  /** Steps that see every example once; the last one reaches into the next epoch. */
  readonly stepsPerEpoch: number;
  /** The micro-batches of a step, counted from 1. */
  at(step: number): Batch[];
  /** The number of different examples in so many steps from `first` on. */
  samplesIn(first: number, steps: number): number;
}

/**
 * Batches in which every epoch is a permutation, seeded by seed and epoch only. The name of a site
 * is left out, so that a single site sees the same batches as central training. Batches are always
 * full: the rest of an epoch begins the first batch of the next.
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
  const indexAt = (position: number): number => {
    const order = permutation(Math.floor(position / examples.length));
    return order[position % examples.length] as number;
  };
  const exampleAt = (position: number): Example => examples[indexAt(position)] as Example;
  const samplesIn = (first: number, steps: number): number => {
    const positions = steps * perStep;
    // So many contain a whole epoch, wherever they begin.
    if (positions >= 2 * examples.length) return examples.length;
    return new Set(Array.from({ length: positions }, (_, i) => indexAt((first - 1) * perStep + i))).size;
  };
  return {
    samplesIn,
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

/** Batches of all examples once, those of similar length together. */
export function* evaluationBatches(examples: readonly Example[], batchSize: number, padToken: number): Generator<Batch> {
  const order = [...examples].sort((a, b) => a.tokens.length - b.tokens.length);
  for (let first = 0; first < order.length; first += batchSize) yield toBatch(order.slice(first, first + batchSize), padToken);
}

/**
 * A batch of sequences, padded at their ends to a multiple of 8. The target of a position is the
 * token after it, if that is part of the answer.
 */
export function toBatch(examples: readonly Example[], padToken: number): Batch {
  const longest = Math.max(...examples.map(({ tokens }) => tokens.length - 1));
  const sequence = Math.ceil(longest / 8) * 8;
  const tokens = new Int32Array(examples.length * sequence).fill(padToken);
  const targets = new Int32Array(examples.length * sequence).fill(IGNORED);
  for (const [row, example] of examples.entries()) {
    const inputs = example.tokens.subarray(0, -1);
    tokens.set(inputs, row * sequence);
    for (let at = example.promptTokens - 1; at < inputs.length; at++) {
      if (!example.learnt || example.learnt[at + 1] === 1) targets[row * sequence + at] = example.tokens[at + 1] as number;
    }
  }
  return { tokens, targets, batch: examples.length, sequence };
}
