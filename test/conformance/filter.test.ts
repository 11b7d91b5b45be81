// Every filter of the table passes its suite, and the suite finds the faults of others.
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Row, row } from '../../src/core/row.js';
import { builtInFilters } from '../../src/filter/built-in.js';
import type { Filter } from '../../src/filter/filter.js';
import { DTYPES } from '../../src/tensor/dtype.js';
import type { Chunk, ChunkRange, StateDict } from '../../src/tensor/state-dict.js';
import { type FilterUnderTest, testFilter } from '../../src/testing/filter-conformance.js';
import { failures } from './failures.js';

const NORM = 0.25;

/** Options for each row of the table; a row without any here fails the last test. */
const OPTIONS: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  exclude: [{ patterns: ['*norm*', 'lm_head.*'] }],
  include: [{ patterns: ['model.layers.**'] }, { patterns: ['**.steps', '**.empty'] }],
  delta: [{}],
  undelta: [{}],
  quantize: [{ codec: 'nf4' }, { codec: 'topk' }, { codec: { names: { '**.norm.*': 'fp16' }, default: 'u3', minElements: 100 } }],
  dequantize: [{}],
  clip: [{ norm: NORM }, { norm: 1e4 }],
};

const rowOf = (name: string): Row<Filter> => builtInFilters.find((one) => one.name === name) as Row<Filter>;

/** The L2 norm over all float32 tensors is at most the bound, within the rounding of each value. */
const within = (norm: number) => async (update: StateDict) => {
  let squares = 0;
  for await (const { tensor, bytes } of update.chunks())
    if (tensor.dtype === 'F32') for (const value of new Float32Array(bytes.slice().buffer)) squares += value ** 2;
  return Math.sqrt(squares) <= norm * (1 + 2 ** -22);
};

for (const [name, all] of Object.entries(OPTIONS)) {
  for (const options of all) {
    const holds = name === 'clip' ? { holds: within(options.norm as number) } : {};
    testFilter(`${name} ${JSON.stringify(options)}`, { row: rowOf(name), options, ...holds }, test);
  }
}

test('every row of the table was tried', () => {
  expect(Object.keys(OPTIONS).sort()).toEqual(builtInFilters.map(({ name }) => name).sort());
});

/** Halves every float32 value, and keeps every promise. */
async function* halved(model: StateDict, range?: ChunkRange, factor = 0.5): AsyncGenerator<Chunk> {
  for await (const chunk of model.chunks(range)) {
    if (chunk.tensor.dtype !== 'F32') {
      yield chunk;
      continue;
    }
    const values = new Float32Array(chunk.bytes.slice().buffer);
    yield { ...chunk, bytes: new Uint8Array(values.map((value) => value * factor).buffer) };
  }
}

const half = (): Filter => ({
  on: 'update',
  apply: (model) => ({ manifest: model.manifest, chunks: (range) => halved(model, range), close: () => model.close?.() }),
});

const made = (change: Partial<Filter>): FilterUnderTest => ({ row: row('half', z.strictObject({}), () => ({ ...half(), ...change })) });
const chunked = (chunks: (model: StateDict, range?: ChunkRange) => AsyncGenerator<Chunk>): FilterUnderTest =>
  made({ apply: (model) => ({ manifest: model.manifest, chunks: (range) => chunks(model, range), close: () => model.close?.() }) });

describe('the suite finds', () => {
  const found = (subject: FilterUnderTest) => failures((register) => testFilter('wrong', subject, register));
  let calls = 0;

  test('nothing where nothing is wrong', async () => {
    expect(await found(made({}))).toEqual({});
  });

  test.each<[what: string, subject: FilterUnderTest, title: string, message: RegExp]>([
    [
      'a filter that reads at once',
      made({
        async apply(model) {
          for await (const _ of model.chunks());
          return model;
        },
      }),
      'reads nothing before chunks are asked for',
      /chunks that were read when an update was filtered: got \d+, expected 0/,
    ],
    [
      'a manifest that is not told',
      made({
        apply: (model) => ({ ...model, manifest: { ...model.manifest, metadata: { by: 'me' } }, chunks: (range) => model.chunks(range) }),
      }),
      'says which manifest comes out, and keeps to it, in part too',
      /the manifest of an update: got/,
    ],
    [
      'a range that is read from the beginning',
      chunked(async function* (model, range) {
        let left = range ? range.end - range.first : Number.POSITIVE_INFINITY;
        for await (const chunk of halved(model)) if (left-- > 0) yield chunk;
      }),
      'says which manifest comes out, and keeps to it, in part too',
      /from chunk \d+ to \d+: chunk 0 has other bytes|chunks of/,
    ],
    [
      'noise of no seed',
      chunked((model, range) => halved(model, range, 0.5 + 0.01 * (calls++ % 7))),
      'gives the same bits each time, to several that read at once',
      /filtered and read again: chunk 0 has other bytes/,
    ],
    [
      'a chunk that is kept for longer than it is lent',
      chunked(async function* (model, range) {
        let before: Chunk | undefined;
        for await (const chunk of model.chunks(range)) {
          if (before) yield before;
          before = chunk;
        }
        if (before) yield before;
      }),
      'gives the same bits each time, to several that read at once',
      /where chunks are lent no longer than they must be: chunk 0 has other bytes/,
    ],
    [
      'values that are changed where they lie',
      chunked(async function* (model, range) {
        for await (const chunk of model.chunks(range)) {
          if (DTYPES[chunk.tensor.dtype].quantizable) chunk.bytes.fill(0);
          yield chunk;
        }
      }),
      'changes nothing of what it is given, and lets it go when it is closed',
      /an update: tensors that were written to: got model.embed_tokens.weight/,
    ],
    [
      'a file that nobody lets go',
      made({ apply: (model) => ({ manifest: model.manifest, chunks: (range) => halved(model, range) }) }),
      'changes nothing of what it is given, and lets it go when it is closed',
      /an update is still open/,
    ],
    [
      'an option that is not read',
      { row: row('half', z.object({}), half) },
      'takes the options that its schema says, and no others',
      /half takes an option that it does not have/,
    ],
    [
      'an option that is no data',
      { row: row('half', z.strictObject({ since: z.date() }), half), options: { since: new Date(0) } },
      'takes the options that its schema says, and no others',
      /half refuses its options as a job stores them/,
    ],
    [
      'one buffer for all that read',
      (() => {
        const room = new Uint8Array(100_000);
        return chunked(async function* (model, range) {
          for await (const chunk of halved(model, range)) {
            room.set(chunk.bytes);
            yield { ...chunk, bytes: room.subarray(0, chunk.bytes.length) };
          }
        });
      })(),
      'filters several models at once',
      /model \d of two: chunk \d+ has other bytes/,
    ],
    [
      'a bound that shrinks each time',
      made({ bounds: true }),
      'keeps its bound where it is applied once more',
      /is changed by 0.500 of its length/,
    ],
    [
      'a promise that does not hold',
      { ...made({ bounds: true, apply: (model) => model }), holds: within(1) },
      'keeps its bound where it is applied once more',
      /its promise does not hold/,
    ],
  ])('%s', async (_, subject, title, message) => {
    expect(await found(subject)).toMatchObject({ [title]: expect.stringMatching(message) });
  });
});
