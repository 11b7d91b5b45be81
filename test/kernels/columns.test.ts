// Rules over columns on the SIMD kernels and threads: the bits of the plain kernels, for any number
// of rows, coded or not.
import { afterAll, expect, test } from 'vitest';
import type { CodedRow, ColumnStep } from '../../src/codec/codec.js';
import { parseCodecName } from '../../src/codec/codec-name.js';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { columnsHere } from '../../src/codec/columns.js';
import { encodeModel } from '../../src/codec/quantize.js';
import { randomStream } from '../../src/core/random.js';
import { columnChunks, innerProducts } from '../../src/exchange/column-chunks.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';

const pool = nodeCodecPool({ threads: 2 });
afterAll(() => pool.close());

/** Normal values with ties, and zeros of both signs. */
function valuesOf(count: number, seed: number): Float32Array {
  const random = randomStream(seed, 'columns');
  return Float32Array.from({ length: count }, () => (random.uniform() < 0.2 ? ([0, -0, 1][random.integer(3)] ?? 0) : random.normal()));
}

function lent(values: Float32Array): Float32Array {
  const bytes = pool.memory.borrow(values.byteLength);
  const copy = new Float32Array(bytes.buffer, bytes.byteOffset, values.length);
  copy.set(values);
  return copy;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer => Buffer.from(buffer, byteOffset, byteLength);

test.each([1, 2, 3, 5, 8, 13, 33, 100])('%i rows: every rule has the bits of the plain kernels', async (count) => {
  for (const elements of [1, 7, 1027]) {
    const values = valuesOf(count * elements, count + elements);
    const beside = valuesOf(elements, 1);
    const none: readonly CodedRow[] = Array.from({ length: count }, () => ({ bytes: new Uint8Array(0) }));
    const rules = [
      (into: Float32Array): ColumnStep => ({ rule: 'middle', trim: (count - 1) >>> 1, into }),
      (into: Float32Array): ColumnStep => ({ rule: 'nearMedian', keep: Math.ceil(count / 2), into }),
      (less: Float32Array): ColumnStep => ({ rule: 'products', less }),
    ];
    for (const rule of rules) {
      const [here, there] = [beside.slice(), lent(beside)];
      const expected = columnsHere(none, values.slice(), rule(here));
      const rows = lent(values);
      expect(await pool.columns(none, rows, rule(there))).toEqual(expected);
      expect(bytesOf(there).equals(bytesOf(here))).toBe(true);
      for (const buffer of [rows, there]) pool.memory.giveBack(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
    }
  }
});

/** A model of two tensors, in chunks of 16,384. */
const modelOf = (seed: number) =>
  memoryStateDict(
    [
      { name: 'a', dtype: 'F32', shape: [40_001], data: valuesOf(40_001, seed) },
      { name: 'b', dtype: 'F32', shape: [5], data: valuesOf(5, seed + 1) },
    ],
    { chunkElements: 16_384 },
  );

test('coded models: the same bits here and on threads, whatever each is coded in', async () => {
  const codings = ['fp32', 'u4', 'nf4', 'u1', 'topk:0.05'];
  const models = codings.map((name, i) => {
    const raw = modelOf(10 * i);
    return name === 'fp32' ? raw : encodeModel(raw, () => parseCodecName(name, referenceCodecs), referenceCodecs);
  });
  const base = modelOf(99);
  for (const some of [models, models.slice(0, 4)]) {
    const made = async (threads: typeof pool | undefined): Promise<Buffer> => {
      const options = {
        models: some,
        codecs: threads?.codecs ? { ...referenceCodecs, ...threads.codecs } : referenceCodecs,
        pool: threads,
        what: 'the test',
      };
      const found: Buffer[] = [];
      for await (const { bytes } of columnChunks({ ...options, base, rule: { rule: 'middle', trim: 1 } })) found.push(Buffer.from(bytes));
      const products = await innerProducts({ ...options, less: base });
      return Buffer.concat([...found, Buffer.from(products.buffer)]);
    };
    expect((await made(pool)).equals(await made(undefined))).toBe(true);
  }
});

test('a code that holds no number is refused by name', async () => {
  const bad = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [3], data: Float32Array.of(1, Number.NaN, 3) }]);
  for (const threads of [undefined, pool]) {
    const options = { models: [bad, bad], codecs: referenceCodecs, pool: threads, what: 'the median' };
    const read = async (): Promise<void> => {
      for await (const _ of columnChunks({ ...options, rule: { rule: 'middle', trim: 0 } }));
    };
    await expect(read()).rejects.toThrow(/the median: tensor w has NaN at element 1/);
    await expect(innerProducts(options)).rejects.toThrow(/the median: the values are too large, or no numbers/);
  }
});
