// Every aggregator of the table passes its suite, and the suite finds the faults of others.
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { CODEC_POOL, type CodecTable } from '../../src/codec/codec.js';
import { row } from '../../src/core/row.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';
import { nodeCodecs } from '../../src/node/codec/codecs.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { Chunk, StateDict } from '../../src/tensor/state-dict.js';
import { testAggregator } from '../../src/testing/aggregator-conformance.js';
import type { AggregatorUnderTest } from '../../src/testing/aggregator-samples.js';
import type { Aggregator, AggregatorInput } from '../../src/workflow/aggregate/aggregator.js';
import { AGGREGATORS } from '../../src/workflow/aggregate/aggregators.js';
import { mean, resultMean } from '../../src/workflow/aggregate/mean.js';
import { failures } from './failures.js';

const pool = nodeCodecPool({ threads: 2 });
afterAll(() => pool.close());
const threaded: CodecTable = { ...nodeCodecs(), [CODEC_POOL]: () => pool };

/** Options for each row of the table. */
const OPTIONS: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  adagrad: [{}, { beta1: 0.9 }],
  adam: [{}, { beta1: 0, schedule: 'cosine', warmupRounds: 1 }],
  bulyan: [{}],
  clippedMean: [{}, { times: 2 }],
  geometricMedian: [{}, { iterations: 3, tolerance: 0, smoothing: 0.01 }],
  krum: [{}],
  mean: [{}],
  median: [{}],
  momentum: [{}, { momentum: 0.5, rate: 0.7 }, { momentum: 0 }],
  nesterov: [{}, { momentum: 0.5, rate: 0.8, schedule: 'linear' }],
  sgd: [{}, { rate: 0.5, weightDecay: 0.1 }],
  yogi: [{}],
  multiKrum: [{}, { malicious: 1, keep: 1 }],
  trimmedMean: [{ trim: 1 }, { trim: 0.4 }],
};

/** Aggregators that count each site once. */
const UNWEIGHTED = new Set(['bulyan', 'krum', 'median', 'multiKrum', 'trimmedMean']);
/** Aggregators that look through all results first, to choose or weigh them. */
const CHOOSING = new Set(['bulyan', 'clippedMean', 'geometricMedian', 'krum', 'multiKrum']);
/** Aggregators whose large models are not tried on threads: their kernels have tests of their own. */
const UNTHREADED = new Set([
  ...['adagrad', 'bulyan', 'clippedMean', 'geometricMedian', 'krum', 'multiKrum'],
  ...['nesterov', 'sgd', 'trimmedMean', 'yogi'],
]);
const BOUNDED = { 'weighs a site by its samples, as it says': 'a bound below the norms changes the heaviest update too' };

for (const row of AGGREGATORS) {
  for (const [index, options] of (OPTIONS[row.name] ?? []).entries()) {
    const name = `${row.name} ${JSON.stringify(options)}`;
    const still = options.weightDecay === undefined; // which moves a model that no site changes
    const subject = {
      row,
      options,
      still,
      weighted: !UNWEIGHTED.has(row.name),
      chooses: CHOOSING.has(row.name),
      ...(row.name === 'clippedMean' && index === 0 && { exceptions: BOUNDED }),
    };
    testAggregator(name, index === 0 && !UNTHREADED.has(row.name) ? { ...subject, codecs: threaded } : subject, test);
  }
}

test('every row of the table was tried', () => {
  expect(Object.keys(OPTIONS).sort()).toEqual(AGGREGATORS.map(({ name }) => name).sort());
});

describe('the suite finds', () => {
  const made = (aggregator: Aggregator | (() => Aggregator), more: Partial<AggregatorUnderTest> = {}): AggregatorUnderTest => ({
    row: row('wrong', z.strictObject({}), () =>
      aggregator.length === 0 ? (aggregator as () => Aggregator)() : (aggregator as Aggregator),
    ),
    ...more,
  });
  const found = (subject: AggregatorUnderTest) => failures((register) => testAggregator('wrong', subject, register));
  const scaled = (state: StateDict, factor: number): StateDict => ({
    manifest: state.manifest,
    async *chunks(range): AsyncGenerator<Chunk> {
      for await (const chunk of state.chunks(range)) {
        if (chunk.tensor.dtype !== 'F32') yield chunk;
        else yield { ...chunk, bytes: new Uint8Array(new Float32Array(chunk.bytes.slice().buffer).map((value) => value * factor).buffer) };
      }
    },
  });

  test('nothing where nothing is wrong', async () => {
    expect(await found(made((input) => mean(input)))).toEqual({});
  });

  test.each<[what: string, subject: AggregatorUnderTest, title: string, message: RegExp]>([
    [
      'the first result that came',
      made((input) => mean({ ...input, results: input.results.slice(0, 1) })),
      'the order of results does not show, nor who aggregates',
      /updates in the order 2,1,0: the next model: chunk 0 has other bytes/,
    ],
    [
      'the tensors of the results alone',
      made((input) => resultMean(input)),
      'gives the tensors of the model until now, in their order',
      /updates: the tensors: got/,
    ],
    [
      'a model that is held in memory',
      made((input) => {
        const next = mean(input) as StateDict;
        return {
          manifest: next.manifest,
          async *chunks(range) {
            const all: Chunk[] = [];
            for await (const chunk of next.chunks(range)) all.push({ ...chunk, bytes: chunk.bytes.slice() });
            yield* all;
          },
        };
      }),
      'reads chunk by chunk, and holds no model',
      /layers.0.weight is given from element 0, while the model|layers.0.weight is given from element 0, while the (result|base)/,
    ],
    [
      'results that are read at once',
      made(async (input) => {
        for (const { model } of input.results) for await (const _ of model.chunks());
        return mean(input);
      }),
      'reads nothing before its model is read, but for what it keeps',
      /updates: what was read too early \(\d+ chunks\): got the result of a, expected undefined/,
    ],
    [
      'what is kept in the process',
      made(() => {
        let rounds = 0;
        return async (input: AggregatorInput) => scaled(await mean(input), 1 + 0.1 * rounds++);
      }),
      'what it keeps comes back, and a second round has the same bits whoever goes on',
      /a round that was cut off, begun again: the next model/,
    ],
    [
      'what is kept for nothing',
      made(async (input) => {
        await input.keep('mine', memoryStateDict([{ name: 'w', dtype: 'F32', shape: [1], data: Float32Array.of(1) }]));
        return mean(input);
      }),
      'what it keeps comes back, and a second round has the same bits whoever goes on',
      /it keeps mine, and makes nothing of it/,
    ],
    [
      'samples that do not count',
      made((input) => mean({ ...input, results: input.results.map((result) => ({ ...result, samples: 1 })) })),
      'weighs a site by its samples, as it says',
      /counts for no more than the others/,
    ],
    [
      'samples that count against what it says',
      made((input) => mean(input), { weighted: false }),
      'weighs a site by its samples, as it says',
      /with other numbers of samples/,
    ],
    [
      'counters that are never looked at',
      made((input) => mean({ ...input, integers: 'previous' })),
      'combines tensors that cannot be averaged as the job says',
      /counters that differ: it did not fail/,
    ],
    [
      'results that are closed',
      made(async (input) => {
        for (const { model } of input.results) await model.close?.();
        return mean(input);
      }),
      'changes nothing of what it is given, and leaves it open',
      /how often the result of a was closed: got 1, expected 0/,
    ],
    [
      'a model that shrinks',
      made(async (input) => scaled(await mean(input), 0.99)),
      'a tensor that no result has stays as it was',
      /updates: frozen.weight was changed/,
    ],
  ])('%s', async (_, subject, title, message) => {
    expect(await found(subject)).toMatchObject({ [title]: expect.stringMatching(message) });
  });
});
