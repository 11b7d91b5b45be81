// The reference codecs: error budgets, exact zeros, sizes, and inputs that are refused.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunkPlaces } from '../tensor/chunks.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { codecLabel, codecNames, parseCodecName } from './codec-name.js';
import { codecOf, referenceCodecs } from './codec-table.js';
import { layoutOf } from './layout.js';
import { decodeModel, encodeModel } from './quantize.js';

const CODED = [...codecNames(referenceCodecs).filter((name) => name !== 'fp32'), 'blockwise8:256', 'nf4:128', 'fp4:16'];
const codec = (name: string) => codecOf(referenceCodecs, parseCodecName(name, referenceCodecs));
const values = fc.float32Array({ minLength: 1, maxLength: 700, noNaN: true, noDefaultInfinity: true });

function encode(name: string, from: Float32Array): Uint8Array {
  const kernel = codec(name);
  const preparation = kernel.prepare?.();
  preparation?.push(from);
  const bytes = new Uint8Array(kernel.encodedBytes(from.length));
  kernel.encode(from, bytes, preparation?.finish());
  return bytes;
}

function decode(name: string, bytes: Uint8Array, elements: number): Float32Array {
  const decoded = new Float32Array(elements);
  codec(name).decode(bytes, decoded);
  return decoded;
}

/**
 * Largest error allowed, of the block's absmax: half of the widest gap in the code, and the error
 * of nested scales on top.
 */
const ERROR_OF_ABSMAX: Record<string, number> = { blockwise8: 0.0145, fp4: 0.168, nf4: 0.153 };

test.each(CODED.filter((name) => /^(blockwise8|fp4|nf4)(:|$)/.test(name)))('%s stays within its error budget', (name) => {
  const { blockSize } = codec(name);
  const budget = ERROR_OF_ABSMAX[name.split(':')[0] as string] as number;
  fc.assert(
    fc.property(values, (from) => {
      const decoded = decode(name, encode(name, from), from.length);
      for (let i = 0; i < from.length; i++) {
        const block = from.subarray(i - (i % blockSize), i - (i % blockSize) + blockSize);
        const absmax = block.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
        expect(Math.abs((decoded[i] as number) - (from[i] as number))).toBeLessThanOrEqual(budget * absmax + 1e-37);
      }
    }),
  );
});

test.each(CODED.filter((name) => !/^u\d$/.test(name)))('%s: an exact zero stays an exact zero', (name) => {
  const from = Float32Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 0 : Math.sin(i)));
  const decoded = decode(name, encode(name, from), from.length);
  for (let i = 0; i < from.length; i += 3) expect(Math.abs(decoded[i] as number)).toBe(0);
});

test.each(CODED)('%s: accumulate is decode, then multiply and add in float32', (name) => {
  fc.assert(
    fc.property(values, fc.float({ min: 0, max: 1, noNaN: true }), (from, weight) => {
      const bytes = encode(name, from);
      const decoded = decode(name, bytes, from.length);
      const expected = from.map((value, i) => value + Math.fround(weight * (decoded[i] as number)));
      const sum = from.slice();
      codec(name).accumulate(bytes, weight, sum);
      expect([...new Uint32Array(sum.buffer)]).toEqual([...new Uint32Array(expected.buffer)]);
    }),
  );
});

test.each(CODED)('%s refuses bytes of any other size, and values that are no numbers', (name) => {
  const from = Float32Array.from({ length: 99 }, (_, i) => i);
  const bytes = encode(name, from);
  for (const wrong of [bytes.subarray(1), new Uint8Array(bytes.length + 1), new Uint8Array(0)]) {
    expect(() => codec(name).decode(wrong, new Float32Array(99))).toThrow(/has \d+ bytes, not/);
    expect(() => codec(name).accumulate(wrong, 1, new Float32Array(99))).toThrow(/has \d+ bytes, not/);
  }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    from[70] = value;
    expect(() => codec(name).encode(from, bytes, { offset: 0 })).toThrow(`element 70 is ${value}`);
  }
});

test.each(CODED)('%s decodes any bytes of the right size without an error', (name) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 }), fc.infiniteStream(fc.nat(255)), (elements, noise) => {
      const bytes = Uint8Array.from({ length: codec(name).encodedBytes(elements) }, () => noise.next().value as number);
      expect(decode(name, bytes, elements)).toHaveLength(elements);
    }),
  );
});

test('names are read and written', () => {
  for (const name of [...CODED, 'fp32']) expect(codecLabel(parseCodecName(name, referenceCodecs), referenceCodecs)).toBe(name);
  for (const name of ['int3', 'nf4:', 'nf4:64:64', 'fp16:64', 'toString', ''])
    expect(() => parseCodecName(name, referenceCodecs)).toThrow(/codec/);
});

test.each([
  [{ codec: 'zip' }, /no codec "zip"/],
  [{ codec: 'toString' }, /no codec "toString"/],
  [{ codec: 'nf4', blockSize: 48 }, /block size 48/],
  [{ codec: 'nf4', blockSize: 0 }, /block size 0/],
  [{ codec: 'bf16', nested: true }, /no nested scales/],
  [{ codec: 'fp16', blockSize: 64 }, /no block size 64/],
])('an encoding that cannot be is refused: %o', (encoding, message) => {
  expect(() => codecOf(referenceCodecs, encoding)).toThrow(message);
});

function model(chunkElements = 16_384): StateDict {
  const data = Float32Array.from({ length: 40_001 }, (_, i) => Math.sin(i * i));
  const half = Uint16Array.from({ length: 301 }, (_, i) => 0x3c00 + i);
  return memoryStateDict(
    [
      { name: 'w', dtype: 'F32', shape: [40_001], data },
      { name: 'steps', dtype: 'I64', shape: [2], data: BigInt64Array.of(1n, 2n) },
      { name: 'b', dtype: 'BF16', shape: [7, 43], data: half },
      { name: 'empty', dtype: 'F32', shape: [0], data: new Float32Array(0) },
    ],
    { chunkElements },
  );
}

async function chunksOf(dict: StateDict, range?: { first: number; end: number }) {
  const chunks: { name: string; index: number; bytes: number[] }[] = [];
  for await (const { tensor, index, bytes } of dict.chunks(range)) chunks.push({ name: tensor.name, index, bytes: [...bytes] });
  return chunks;
}

test.each([...CODED, 'fp32'])('%s: a coded model has the bytes its layout says, and any range decodes alone', async (name) => {
  const encoding = parseCodecName(name, referenceCodecs);
  const coded = encodeModel(model(), (tensor) => (tensor.dtype === 'I64' ? { codec: 'raw' } : encoding), referenceCodecs);
  const layout = layoutOf(coded.manifest, referenceCodecs);
  const whole = await chunksOf(coded);
  let offset = 0;
  for (const [at, place] of [...layout.places()].entries()) {
    expect(place).toMatchObject({ offset, bytes: whole[at]?.bytes.length, index: at });
    offset += place.bytes;
  }
  expect(layout).toMatchObject({ totalBytes: offset, chunks: whole.length });
  const decoded = decodeModel(coded, referenceCodecs);
  expect(decoded.manifest.tensors).toEqual(model().manifest.tensors);
  const all = await chunksOf(decoded);
  expect(await chunksOf(decoded, { first: 1, end: 4 })).toEqual(all.slice(1, 4));
  expect(all.find((chunk) => chunk.name === 'steps')?.bytes).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
});

test('the chunks of a tensor are what the whole tensor would be', async () => {
  const encoding = parseCodecName('nf4-nested', referenceCodecs);
  const decodedWith = async (chunkElements: number) => {
    const coded = encodeModel(model(chunkElements), (tensor) => (tensor.name === 'w' ? encoding : { codec: 'raw' }), referenceCodecs);
    return (await chunksOf(decodeModel(coded, referenceCodecs))).flatMap((chunk) => chunk.bytes);
  };
  expect(await decodedWith(16_384)).toEqual(await decodedWith(65_536));
});

test('a value that is no number is named with its tensor and its index in the tensor', async () => {
  const data = new Float32Array(20_000);
  data[17_000] = Number.NaN;
  const bad = memoryStateDict([{ name: 'layers.0.w', dtype: 'F32', shape: [20_000], data }], { chunkElements: 16_384 });
  for (const name of CODED) {
    const coded = encodeModel(bad, () => parseCodecName(name, referenceCodecs), referenceCodecs);
    await expect(chunksOf(coded)).rejects.toThrow('tensor layers.0.w has NaN at element 17000');
  }
});

test('a dtype that no codec may code is refused before bytes move', () => {
  expect(() => encodeModel(model(), () => parseCodecName('nf4', referenceCodecs), referenceCodecs)).toThrow(/tensor steps is I64/);
  expect([...chunkPlaces(model().manifest)]).toHaveLength(5);
});
