// The SIMD kernels against the reference kernels, bit for bit: hard values, every tail, every block
// size, every dtype.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Codec } from '../../src/codec/codec.js';
import { codecNames, parseCodecName } from '../../src/codec/codec-name.js';
import { rowOf } from '../../src/codec/codec-rows.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { DYNAMIC_MIDPOINTS } from '../../src/codec/dynamic-map.js';
import { FP4_THRESHOLDS } from '../../src/codec/fp4.js';
import { NF4_MIDPOINTS } from '../../src/codec/nf4.js';
import { decodeModel, encodeModel } from '../../src/codec/quantize.js';
import type { ChunkMemory } from '../../src/tensor/chunk-memory.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { narrowInto, widenInto } from '../../src/tensor/widen.js';
import { loadCodecs } from './load-kernels.js';

const codecs = loadCodecs();
const memory = codecOf(codecs, parseCodecName('bf16', referenceCodecs)).memory as ChunkMemory;
/** A codec without a kernel is its own reference. */
const hasKernel = (name: string): boolean => name !== 'fp32' && rowOf(codecs, parseCodecName(name, codecs).codec).kernel !== undefined;
const NAMES = [
  ...codecNames(referenceCodecs).filter(hasKernel),
  'blockwise8:16',
  'blockwise8:256',
  'blockwise8:16384',
  'nf4:16',
  'nf4:32',
  'nf4:16384',
  'fp4:16',
  'fp4:4096',
  'nf4-nested:16',
];
const pair = (name: string): [Codec, Codec] => [
  codecOf(referenceCodecs, parseCodecName(name, referenceCodecs)),
  codecOf(codecs, parseCodecName(name, referenceCodecs)),
];

function encode(codec: Codec, from: Float32Array) {
  const preparation = codec.prepare?.();
  preparation?.push(from);
  const prepared = preparation?.finish();
  const bytes = new Uint8Array(codec.encodedBytes(from.length));
  return { bytes, prepared, report: codec.encode(from, bytes, prepared) };
}

/**
 * A float32 of every 32-bit word, with one NaN for all, since their payloads are not guaranteed.
 */
function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.map((value) => (Number.isNaN(value) ? Number.NaN : value)).buffer);
}

function same(a: ArrayLike<number>, b: ArrayLike<number>, what: string): void {
  if (a.length !== b.length) throw new Error(`${what}: ${a.length} against ${b.length}`);
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) throw new Error(`${what}: at ${i} the kernel has ${b[i]}, the reference ${a[i]}`);
}

/** Encodes, decodes and accumulates with both and compares all bits. */
function holdEqual(name: string, from: Float32Array, weight = 0.3): void {
  const [reference, kernel] = pair(name);
  const expected = encode(reference, from);
  const found = encode(kernel, from);
  expect(found.prepared).toEqual(expected.prepared);
  expect(found.report).toEqual(expected.report);
  same(expected.bytes, found.bytes, `${name} codes of ${from.length}`);
  holdDecodersEqual(name, expected.bytes, from.length, weight);
}

function holdDecodersEqual(name: string, bytes: Uint8Array, elements: number, weight: number): void {
  const [reference, kernel] = pair(name);
  const [a, b] = [new Float32Array(elements), new Float32Array(elements)];
  reference.decode(bytes, a);
  kernel.decode(bytes, b);
  same(bits(a), bits(b), `${name} decoded ${elements}`);
  const start = Float32Array.from({ length: elements }, (_, i) => Math.sin(i) * 3);
  const [sumA, sumB] = [start.slice(), start.slice()];
  reference.accumulate(bytes, weight, sumA);
  kernel.accumulate(bytes, weight, sumB);
  same(bits(sumA), bits(sumB), `${name} accumulated ${elements}`);
}

/**
 * Deterministic values of every finite magnitude: words of a linear congruential generator, or
 * normal-looking ones.
 */
function words(seed: number, count: number): Float32Array {
  const values = new Uint32Array(count);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const exponent = (state >>> 23) & 0xff;
    values[i] = exponent === 0xff ? state & 0x807fffff : state;
  }
  return new Float32Array(values.buffer);
}

function bell(seed: number, count: number): Float32Array {
  const noise = words(seed, count * 3);
  const raw = new Uint32Array(noise.buffer);
  return Float32Array.from({ length: count }, (_, i) => {
    const sum = [0, 1, 2].reduce((total, at) => total + ((raw[3 * i + at] as number) >>> 8) / 2 ** 24 - 0.5, 0);
    return sum * 0.05;
  });
}

/**
 * Values at, and one step on both sides of, every threshold of every code, in a block whose absmax
 * is 1.
 */
function atThresholds(): Float32Array {
  const near: number[] = [];
  for (const threshold of [...DYNAMIC_MIDPOINTS, ...NF4_MIDPOINTS, ...FP4_THRESHOLDS, 2 ** -14, 2 ** -24, 1 + 2 ** -11, 65504, 65520]) {
    const word = new Uint32Array(Float32Array.of(threshold).buffer);
    for (const step of [-1, 0, 1]) near.push(new Float32Array(Uint32Array.of((word[0] as number) + step).buffer)[0] as number);
  }
  return Float32Array.from([...near, ...near.map((value) => -value)]);
}

test.each(NAMES)('%s: every length to 300, and the lengths round the stage', (name) => {
  const values = bell(7, 40_000);
  for (let length = 1; length <= 300; length++) holdEqual(name, values.subarray(length, 2 * length));
  for (const length of [4095, 4096, 4097, 16_383, 16_384, 16_385, 32_768, 33_001]) holdEqual(name, values.subarray(0, length));
});

test.each(NAMES)('%s: values of every magnitude, zeros of both signs, subnormals', (name) => {
  holdEqual(name, words(1, 30_000));
  holdEqual(name, new Float32Array(5000));
  holdEqual(name, new Float32Array(100).fill(-0));
  holdEqual(
    name,
    Float32Array.from({ length: 5000 }, (_, i) => (i % 5 === 0 ? (i - 2500) * 2 ** -149 : 0)),
  );
  holdEqual(
    name,
    Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i) * 2 ** -20),
  );
  holdEqual(name, Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 1e30, 0, -1e-45));
});

test.each(NAMES)('%s: on both sides of every threshold', (name) => {
  const near = atThresholds();
  const small = near.filter((value) => Math.abs(value) <= 1);
  for (const scale of [1, 0.25, 2 ** -100]) {
    for (let start = 0; start < small.length; start += 15)
      holdEqual(name, Float32Array.of(scale, ...small.subarray(start, start + 15).map((value) => value * scale)));
  }
  holdEqual(name, near);
});

test.each(NAMES)('%s: any values at all', (name) => {
  fc.assert(
    fc.property(
      fc.float32Array({ minLength: 1, maxLength: 200, noNaN: true, noDefaultInfinity: true }),
      fc.float({ noNaN: true }),
      (from, weight) => {
        holdEqual(name, from, weight);
      },
    ),
    { numRuns: 200 },
  );
});

test.each(NAMES)('%s: decodes any bytes as the reference does', (name) => {
  const noise = new Uint8Array(words(3, 20_000).buffer);
  for (const elements of [1, 15, 16, 17, 63, 1000, 17_000]) {
    const { encodedBytes } = pair(name)[0];
    holdDecodersEqual(name, noise.slice(0, encodedBytes(elements)), elements, 1.5);
  }
});

test.each(NAMES)('%s: from and to every dtype, at any alignment', (name) => {
  const [reference, kernel] = pair(name);
  for (const dtype of ['F32', 'F16', 'BF16'] as const) {
    for (const length of [1, 33, 16_400]) {
      const own = narrowInto(dtype, bell(11, length), new Uint8Array(length * 4)).slice();
      const shifted = new Uint8Array(own.length + 1).subarray(1);
      shifted.set(own);
      const expected = encode(reference, widenInto(dtype, own, new Float32Array(length)));
      const bytes = new Uint8Array(expected.bytes.length);
      kernel.encodeRaw?.({ dtype, bytes: shifted }, length, bytes, expected.prepared);
      same(expected.bytes, bytes, `${name} of ${dtype}`);
      const decoded = new Float32Array(length);
      reference.decode(bytes, decoded);
      const narrowed = narrowInto(dtype, decoded, new Uint8Array(length * 4));
      kernel.decodeRaw?.(bytes, length, { dtype, bytes: shifted });
      same(narrowed, shifted, `${name} to ${dtype}`);
    }
  }
});

test.each(NAMES)('%s: a NaN or an infinity is named by its index, wherever it is', (name) => {
  const kernel = pair(name)[1];
  for (const length of [1, 20, 4100, 20_000]) {
    for (const at of [0, length >> 1, length - 1]) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const from = bell(5, length);
        from[at] = value;
        const to = new Uint8Array(kernel.encodedBytes(length));
        expect(() => kernel.encode(from, to, { offset: 0 })).toThrow(`element ${at} is ${value}`);
      }
    }
  }
});

test.each(NAMES)('%s: bytes of any other size are refused', (name) => {
  const kernel = pair(name)[1];
  const bytes = new Uint8Array(kernel.encodedBytes(99));
  for (const wrong of [bytes.subarray(1), new Uint8Array(bytes.length + 1), new Uint8Array(0)]) {
    expect(() => kernel.decode(wrong, new Float32Array(99))).toThrow(/has \d+ bytes, not/);
    expect(() => kernel.accumulate(wrong, 1, new Float32Array(99))).toThrow(/has \d+ bytes, not/);
    expect(() => kernel.encode(new Float32Array(99), wrong, { offset: 0 })).toThrow(/has \d+ bytes, not/);
  }
});

test.each(NAMES)('%s: in the memory of the kernels as outside of it', (name) => {
  const [reference, kernel] = pair(name);
  const length = 50_001;
  const from = bell(9, length);
  const expected = encode(reference, from);
  const inside = (bytes: number) => memory.borrow(bytes + 1).subarray(1, bytes + 1); // unaligned on purpose
  const values = memory.borrow(length * 4);
  values.set(new Uint8Array(from.buffer));
  const coded = inside(expected.bytes.length);
  kernel.encodeRaw?.({ dtype: 'F32', bytes: values }, length, coded, expected.prepared);
  same(expected.bytes, coded, `${name} codes`);
  const decoded = memory.borrow(length * 4);
  kernel.decodeRaw?.(coded, length, { dtype: 'F32', bytes: decoded });
  const plain = new Float32Array(length);
  reference.decode(expected.bytes, plain);
  same(new Uint8Array(plain.buffer), decoded, `${name} decoded`);
  const sum = new Float32Array(decoded.buffer, decoded.byteOffset, length);
  kernel.accumulate(coded, 0.7, sum);
  reference.accumulate(expected.bytes, 0.7, plain);
  same(bits(plain), bits(sum), `${name} accumulated`);
  for (const buffer of [values, decoded]) memory.giveBack(buffer);
});

function model(): StateDict {
  return memoryStateDict(
    [
      { name: 'w', dtype: 'F32', shape: [40_001], data: bell(2, 40_001) },
      { name: 'b', dtype: 'BF16', shape: [301], data: narrowInto('BF16', bell(3, 301), new Uint8Array(602)) },
    ],
    { chunkElements: 16_384 },
  );
}

async function chunksOf(dict: StateDict): Promise<number[][]> {
  const chunks: number[][] = [];
  for await (const { bytes } of dict.chunks()) chunks.push([...bytes]);
  return chunks;
}

test.each(NAMES.filter((name) => name !== 'nf4-nested:16'))('%s: a model coded and decoded by either is the same', async (name) => {
  const both = await Promise.all(
    [referenceCodecs, codecs].map(async (table) => {
      const coded = encodeModel(model(), () => parseCodecName(name, referenceCodecs), table);
      return [await chunksOf(coded), await chunksOf(decodeModel(coded, table))];
    }),
  );
  expect(both[0]).toEqual(both[1]);
});

test('borrowed buffers do not overlap, and returned ones are lent again', () => {
  const first = memory.borrow(100_000);
  const second = memory.borrow(1);
  const third = memory.borrow(70_000);
  expect(first.buffer).toBe(second.buffer);
  expect(second.byteOffset).toBeGreaterThanOrEqual(first.byteOffset + 100_000);
  expect(third.byteOffset).toBeGreaterThan(second.byteOffset);
  memory.giveBack(first);
  const again = memory.borrow(65_537);
  expect(again.byteOffset).toBe(first.byteOffset);
  const huge = memory.borrow(2 ** 28);
  expect(huge.buffer).not.toBe(first.buffer);
  for (const buffer of [again, second, third, huge]) memory.giveBack(buffer);
});
