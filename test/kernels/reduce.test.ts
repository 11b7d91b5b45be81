// The server's reduce: the same bits on any number of threads, for every codec and dtype, and a
// clear error for a sum that is not finite.
import { expect, test } from 'vitest';
import type { CodecPool } from '../../src/codec/codec.js';
import { codecNames, parseCodecName } from '../../src/codec/codec-name.js';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { decodeModel, encodeModel } from '../../src/codec/quantize.js';
import { sumOfSquares } from '../../src/codec/squares.js';
import { randomStream } from '../../src/core/random.js';
import { reduceChunks } from '../../src/exchange/reduce.js';
import { sumChunks } from '../../src/exchange/sum-chunks.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';
import type { TensorEntry } from '../../src/tensor/manifest.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { narrowInto, widenInto } from '../../src/tensor/widen.js';
import { loadKernels } from './load-kernels.js';

function model(seed: number, scale = 1): StateDict {
  const values = Float32Array.from({ length: 70_003 }, (_, i) => Math.sin(i * i + seed) * scale);
  const half = (dtype: 'F16' | 'BF16') => narrowInto(dtype, values.subarray(0, 20_000), new Uint8Array(40_000));
  return memoryStateDict(
    [
      { name: 'a', dtype: 'F32', shape: [70_003], data: values },
      { name: 'steps', dtype: 'I64', shape: [3], data: BigInt64Array.of(BigInt(seed), 2n, 3n) },
      { name: 'b', dtype: 'F16', shape: [20_000], data: half('F16') },
      { name: 'c', dtype: 'BF16', shape: [20_000], data: half('BF16') },
    ],
    { chunkElements: 16_384 },
  );
}

async function bytesOf(chunks: AsyncIterable<{ bytes: Uint8Array }>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const { bytes } of chunks) all.push(Buffer.from(bytes));
  return Buffer.concat(all);
}

async function consumed(chunks: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of chunks);
}

async function withPools(work: (pool: CodecPool | undefined) => Promise<void>): Promise<void> {
  await work(undefined);
  for (const threads of [1, 2, 3]) {
    const pool = nodeCodecPool({ threads });
    await work(pool);
    await pool.close();
  }
}

/** Coded values are decoded to float32 and added in it, whatever the tensor's own dtype. */
function inFloat32({ manifest, chunks }: StateDict): StateDict {
  const widened = (tensor: TensorEntry): TensorEntry => (tensor.encoding.codec === 'raw' ? tensor : { ...tensor, dtype: 'F32' });
  async function* coded() {
    for await (const chunk of chunks()) yield { ...chunk, tensor: widened(chunk.tensor) };
  }
  return { manifest: { ...manifest, tensors: manifest.tensors.map(widened) }, chunks: coded };
}

/** The definition: adds one model after the other, from decoded values. */
async function expected(models: readonly StateDict[], weights: readonly number[], base?: StateDict): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const readers = models.map((one) => decodeModel(inFloat32(one), referenceCodecs, undefined).chunks()[Symbol.asyncIterator]());
  const bases = base?.chunks()[Symbol.asyncIterator]();
  for (;;) {
    const parts = [];
    for (const reader of readers) {
      const { done, value } = await reader.next();
      if (!done)
        parts.push({
          dtype: value.tensor.dtype,
          bytes: Buffer.from(value.bytes),
          elements: value.elements,
          tensorIndex: value.tensorIndex,
        });
    }
    const held = (await bases?.next())?.value;
    const [first] = parts;
    if (!first) return Buffer.concat(chunks);
    if (first.dtype === 'I64') {
      chunks.push(first.bytes);
      continue;
    }
    const sum = new Float32Array(first.elements).fill(-0);
    const { dtype: own = first.dtype } = held?.tensor ?? models[0]?.manifest.tensors[first.tensorIndex] ?? {};
    if (held) widenInto(own, held.bytes, sum);
    for (const [i, { dtype, bytes }] of parts.entries()) {
      const values = widenInto(dtype, bytes, new Float32Array(first.elements));
      for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + Math.fround((weights[i] as number) * (values[at] as number));
    }
    chunks.push(Buffer.from(narrowInto(own, sum, new Uint8Array(sum.length * 4))));
  }
}

const WEIGHTS = [0.5, 0.125, 0.375].map(Math.fround);

test.each(codecNames(referenceCodecs))('%s: decode and add equals its definition, on any number of threads', async (name) => {
  const encoding = parseCodecName(name, referenceCodecs);
  const encodingFor = (tensor: { dtype: string }) => (tensor.dtype === 'I64' ? { codec: 'raw' } : encoding);
  const models = [1, 2, 3].map((seed) => encodeModel(model(seed, 0.1), encodingFor, referenceCodecs));
  const addends = models.map((one, i) => ({ model: one, weight: WEIGHTS[i] as number }));
  for (const base of [undefined, model(9)]) {
    const right = await expected(models, WEIGHTS, base);
    await withPools(async (pool) => {
      const options = { addends, base, codecs: pool?.codecs ?? referenceCodecs, pool, what: 'the sum' };
      expect((await bytesOf(reduceChunks(options))).equals(right)).toBe(true);
    });
  }
});

test('a part of the chunks equals that part of the whole', async () => {
  const addends = [{ model: model(1), weight: 1 }];
  const options = { addends, codecs: referenceCodecs, pool: undefined, what: 'the sum' };
  const whole: string[] = [];
  for await (const { bytes } of reduceChunks(options)) whole.push(Buffer.from(bytes).toString('hex'));
  const part: string[] = [];
  for await (const { bytes } of reduceChunks(options, { first: 2, end: 6 })) part.push(Buffer.from(bytes).toString('hex'));
  expect(part).toEqual(whole.slice(2, 6));
});

test('more models than a thread’s queue holds', async () => {
  const many = Array.from({ length: 90 }, (_, i) => model(i));
  const weights = many.map((_, i) => Math.fround(1 / (i + 1)));
  const addends = many.map((one, i) => ({ model: one, weight: weights[i] as number }));
  const right = await expected(many, weights);
  await withPools(async (pool) => {
    const options = { addends, codecs: pool?.codecs ?? referenceCodecs, pool, what: 'the sum' };
    expect((await bytesOf(reduceChunks(options))).equals(right)).toBe(true);
  });
});

test('the squares of each chunk are measured in the same pass, to the bit', async () => {
  const addends = [
    { model: model(1, 1000), weight: 1 },
    {
      model: encodeModel(
        model(2),
        ({ dtype }) => (dtype === 'I64' ? { codec: 'raw' } : parseCodecName('u4', referenceCodecs)),
        referenceCodecs,
      ),
      weight: -1,
    },
  ];
  const right: (number | undefined)[] = [];
  for await (const { chunk } of sumChunks({ addends, codecs: referenceCodecs, pool: undefined, what: 'the change' })) {
    const { dtype } = chunk.tensor;
    // Values in 16 bits are measured before they are narrowed.
    right.push(dtype === 'F32' ? sumOfSquares(widenInto(dtype, chunk.bytes, new Float32Array(chunk.elements))) : undefined);
  }
  const found: number[][] = [];
  await withPools(async (pool) => {
    const options = { addends, codecs: pool?.codecs ?? referenceCodecs, pool, what: 'the change', measure: true } as const;
    const squares: (number | undefined)[] = [];
    for await (const { report } of sumChunks(options)) squares.push(report.squares);
    for (const [index, expected] of right.entries()) if (expected !== undefined) expect(squares[index]).toBe(expected);
    found.push(squares.map((value) => value ?? -1));
  });
  for (const squares of found) expect(squares).toEqual(found[0]);
  expect(found[0]?.filter((value) => value === -1)).toHaveLength(1); // the counter
});

test('the kernel of squares and its reference: every length, and values at the edge', () => {
  const { run, bytes, values } = loadKernels();
  const room = new Float32Array(bytes.buffer, values, 4099);
  const random = randomStream(3, 'squares');
  for (let i = 0; i < room.length; i++) room[i] = (random.uniform() - 0.5) * 10 ** random.integer(38);
  for (const count of [0, 1, 2, 3, 4, 5, 6, 7, 8, 4096, 4097, 4099])
    expect(run.sumOfSquares(values, count)).toBe(sumOfSquares(room.subarray(0, count)));
  room.fill(3.4e38);
  expect(sumOfSquares(room)).toBeGreaterThan(1e80);
  expect(run.sumOfSquares(values, 4099)).toBe(sumOfSquares(room));
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    room[4098] = value;
    expect(Number.isFinite(sumOfSquares(room))).toBe(false);
    expect(run.sumOfSquares(values, 4099)).toBe(sumOfSquares(room));
  }
});

test.each([
  ['a NaN', Number.NaN],
  ['an infinity', Number.NEGATIVE_INFINITY],
])('%s is named with tensor and element', async (_, value) => {
  for (const at of [0, 16_383, 16_384, 70_002]) {
    const values = new Float32Array(70_003).fill(1);
    values[at] = value;
    const poisoned = memoryStateDict([{ name: 'a', dtype: 'F32', shape: [70_003], data: values }], { chunkElements: 16_384 });
    await withPools(async (pool) => {
      const options = { addends: [{ model: poisoned, weight: 1 }], codecs: pool?.codecs ?? referenceCodecs, pool, what: 'the result of x' };
      await expect(bytesOf(reduceChunks(options))).rejects.toMatchObject({
        code: 'non-finite',
        message: `the result of x: tensor a has ${value} at element ${at}; it is refused`,
      });
      await expect(consumed(sumChunks({ ...options, measure: true }))).rejects.toMatchObject({
        code: 'non-finite',
        message: `the result of x: tensor a has ${value} at element ${at}; it is refused`,
      });
    });
  }
});
