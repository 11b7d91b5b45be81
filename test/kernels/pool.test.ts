// The codec pool: the same bytes from any number of threads, in order, and errors that name the
// tensor.
import { expect, test } from 'vitest';
import type { CodecPool } from '../../src/codec/codec.js';
import { codecNames, parseCodecName } from '../../src/codec/codec-name.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { decodeModel, encodeModel } from '../../src/codec/quantize.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { ChunkRange, StateDict } from '../../src/tensor/state-dict.js';
import { narrowInto } from '../../src/tensor/widen.js';

const NAMES = codecNames(referenceCodecs).filter((name) => name !== 'fp32');

function model(length = 100_003): StateDict {
  const weights = Float32Array.from({ length }, (_, i) => Math.sin(i * i) / 10);
  return memoryStateDict(
    [
      { name: 'a', dtype: 'F32', shape: [length], data: weights },
      { name: 'steps', dtype: 'I64', shape: [3], data: BigInt64Array.of(1n, 2n, 3n) },
      { name: 'b', dtype: 'F16', shape: [20_000], data: narrowInto('F16', weights.subarray(0, 20_000), new Uint8Array(40_000)) },
    ],
    { chunkElements: 16_384 },
  );
}

async function chunksOf(dict: StateDict, range?: ChunkRange): Promise<string[]> {
  const chunks: string[] = [];
  for await (const { tensor, index, bytes } of dict.chunks(range))
    chunks.push(`${tensor.name} ${index} ${Buffer.from(bytes).toString('base64')}`);
  return chunks;
}

async function withPool(threads: number, work: (pool: CodecPool) => Promise<void>): Promise<void> {
  const pool = nodeCodecPool({ threads });
  try {
    await work(pool);
  } finally {
    await pool.close();
  }
}

const encodingFor = (name: string) => (tensor: { dtype: string }) =>
  tensor.dtype === 'I64' ? { codec: 'raw' } : parseCodecName(name, referenceCodecs);

test.each([1, 2, 3])('%i threads give the bytes of the reference, in order', async (threads) => {
  await withPool(threads, async (pool) => {
    for (const name of NAMES) {
      const reference = encodeModel(model(), encodingFor(name), referenceCodecs);
      const pooled = encodeModel(model(), encodingFor(name), pool.codecs, undefined, pool);
      const expected = await chunksOf(reference);
      expect(await chunksOf(pooled)).toEqual(expected);
      expect(await chunksOf(pooled, { first: 2, end: 9 })).toEqual(expected.slice(2, 9));
      expect(await chunksOf(decodeModel(pooled, pool.codecs, pool))).toEqual(await chunksOf(decodeModel(reference, referenceCodecs)));
    }
  });
});

test.each(['nf4', 'u1', 'u3', 'u4'])('sums are those of the reference: %s', async (name) => {
  await withPool(2, async (pool) => {
    const codec = codecOf(referenceCodecs, parseCodecName(name, referenceCodecs));
    const from = Float32Array.from({ length: 5001 }, (_, i) => Math.cos(i));
    const coded = pool.memory.borrow(codec.encodedBytes(5001));
    codec.encode(from, coded);
    const bytes = pool.memory.borrow(5001 * 4);
    const sums = new Float32Array(bytes.buffer, bytes.byteOffset, 5001);
    sums.set(from);
    codec.accumulate(coded, 0.25, from);
    await pool.accumulate(codecOf(pool.codecs, codec.encoding), coded, 0.25, sums);
    expect(Buffer.from(bytes).equals(Buffer.from(from.buffer))).toBe(true);
  });
});

test('a NaN is named, and the pool keeps working', async () => {
  await withPool(2, async (pool) => {
    const data = new Float32Array(90_000);
    data[50_001] = Number.NaN;
    const bad = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [90_000], data }], { chunkElements: 16_384 });
    const coded = encodeModel(bad, encodingFor('nf4'), pool.codecs, undefined, pool);
    await expect(chunksOf(coded)).rejects.toThrow('tensor w has NaN at element 50001');
    expect(await chunksOf(encodeModel(model(), encodingFor('nf4'), pool.codecs, undefined, pool))).toHaveLength(10);
  });
});

test('a reader that stops early leaves no buffer lent', async () => {
  await withPool(2, async (pool) => {
    const before = pool.memory.borrow(1).byteOffset;
    for await (const chunk of encodeModel(model(), encodingFor('bf16'), pool.codecs, undefined, pool).chunks()) {
      expect(chunk.index).toBe(0);
      break;
    }
    expect(pool.memory.borrow(1).byteOffset).toBe(before + 65_536);
  });
});

test('work on foreign buffers is done on the calling thread; a closed pool refuses its own', async () => {
  const pool = nodeCodecPool({ threads: 1 });
  const values = Float32Array.from({ length: 16 }, (_, i) => i);
  const outside = { dtype: 'F32' as const, bytes: new Uint8Array(values.buffer) };
  const coded = new Uint8Array(32);
  const bf16 = codecOf(pool.codecs, parseCodecName('bf16', referenceCodecs));
  await pool.encode(bf16, outside, 16, coded);
  const back = new Float32Array(16);
  await pool.decode(bf16, coded, 16, { dtype: 'F32', bytes: new Uint8Array(back.buffer) });
  await pool.accumulate(bf16, coded, 2, back);
  expect([...back]).toEqual([...values].map((value) => 3 * value));
  await pool.close();
  const inside = { dtype: 'F32' as const, bytes: pool.memory.borrow(64) };
  await expect(pool.encode(bf16, inside, 16, pool.memory.borrow(32))).rejects.toThrow(/closed/);
});

test('models that stream at once share the pool', async () => {
  await withPool(2, async (pool) => {
    expect(pool.share).toBe(8);
    const leaves = Array.from({ length: 100 }, () => pool.enter());
    expect(pool.share).toBe(1);
    const many = Array.from({ length: 5 }, () => chunksOf(encodeModel(model(), encodingFor('nf4'), pool.codecs, undefined, pool)));
    const expected = await chunksOf(encodeModel(model(), encodingFor('nf4'), referenceCodecs));
    for (const chunks of await Promise.all(many)) expect(chunks).toEqual(expected);
    for (const leave of [...leaves, ...leaves]) leave();
    expect(pool.share).toBe(8);
  });
});
