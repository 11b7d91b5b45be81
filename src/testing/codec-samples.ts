// A codec under test: its names, and the values and sizes that it is tried with.
import type { Codec, CodecPool, CodecRow, CodecTable, EncodeReport, Prepared } from '../codec/codec.js';
import { parseCodecName } from '../codec/codec-name.js';
import { isFixed } from '../codec/codec-parameters.js';
import { codecOf, referenceCodecs } from '../codec/codec-table.js';
import { written } from '../codec/raw-coding.js';
import { CHUNK_ELEMENTS, type Encoding } from '../tensor/manifest.js';
import { noise, weights } from './state-dicts.js';

/** A codec, and what the suite is to know of it. */
export interface CodecUnderTest {
  /** Its row, as a program puts it into its table. */
  readonly row: CodecRow;
  /**
   * Names with numbers, as people write them; by default the bare name, the nested one, and the
   * smallest and largest of each number.
   */
  readonly names?: readonly string[];
  /**
   * The most that coding in the first name may lose of small values: √(sum of squared errors / sum
   * of squares). 1 by default, since a code that loses more is worse than none.
   */
  readonly error?: number;
  /** The row that says what is right, where this one is the same on other kernels, bit for bit. */
  readonly reference?: CodecRow;
  /**
   * Threads that have this codec. Without them models go through a stand-in on the calling thread,
   * as codecs do that no thread has. Closed by whoever gives it.
   */
  readonly pool?: CodecPool;
  /**
   * Values of the model that is coded, stored and added up. By default just more than 2^23, from
   * where on models are coded by threads.
   */
  readonly modelValues?: number;
  /** Tests that do not hold for this codec, by title, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

/** The codecs that there are, with the one under test. */
export function tableOf(row: CodecRow): CodecTable {
  return { ...referenceCodecs, [row.name]: row };
}

/** Each name that is tried, with its encoding. */
export function encodingsOf({ row, names }: CodecUnderTest): [name: string, encoding: Encoding][] {
  const table = tableOf(row);
  const standard = row.parameters.map((parameter) => parameter.default);
  const ends = row.parameters.flatMap(({ smallest, largest }, i) =>
    [smallest, largest].map((value) => [...standard.slice(0, i), value].join(':')),
  );
  const bare = row.nested ? [row.name, `${row.name}-nested`] : [row.name];
  const all = names ?? [...bare, ...ends.flatMap((numbers) => bare.map((name) => `${name}:${numbers}`))];
  const found = new Map<string, [string, Encoding]>();
  for (const name of all) {
    const encoding = parseCodecName(name, table);
    // Blocks that no chunk of a model is cut at.
    if (!names && CHUNK_ELEMENTS % codecOf(table, encoding).blockSize !== 0) continue;
    const key = JSON.stringify(encoding);
    if (!found.has(key)) found.set(key, [name, encoding]);
  }
  return [...found.values()];
}

/** Numbers that a parameter of the row does not take, each as a name. */
export function namesBeyond({ name, parameters }: CodecRow): string[] {
  const standard = parameters.map((parameter) => parameter.default);
  const beyond = parameters.flatMap((parameter, i) => {
    const { smallest, largest, kind } = parameter;
    const between = kind !== 'real' && !isFixed(parameter) ? [smallest + 0.5] : [];
    return [smallest - 1, largest + 1, ...between].map((value) => [name, ...standard.slice(0, i), value].join(':'));
  });
  return [...beyond, `${name}:`, `${name}:x`, [name, ...standard, 1].join(':')];
}

/**
 * Sizes of chunks: none, one, round a byte and a block, and some more; `whole` has those of full
 * chunks too.
 */
export function sizesOf({ blockSize }: Codec, whole = false): number[] {
  const around = [1, 8, 256, blockSize].flatMap((size) => [size - 1, size, size + 1]);
  const large = whole ? [CHUNK_ELEMENTS - 1, CHUNK_ELEMENTS] : [];
  const all = new Set([...around, 100, 2 * blockSize + 1, ...large]);
  return [...all].filter((size) => size <= CHUNK_ELEMENTS).sort((a, b) => a - b);
}

/** One kind is enough of so many values. */
export const MANY = 5000;

/** Kinds of finite values. */
export const VALUES: Readonly<Record<string, (count: number) => Float32Array>> = {
  small: (count) => weights(3, count),
  zeros: (count) => Float32Array.from({ length: count }, (_, i) => (i % 3 === 0 ? -0 : 0)),
  equal: (count) => new Float32Array(count).fill(-0.375),
  'of every magnitude': (count) => Float32Array.from({ length: count }, (_, i) => noise(5, i) * 2 ** Math.floor(noise(6, i) * 120)),
  'one large': (count) => weights(4, count).fill(1e30, 0, Math.min(count, 1)),
};

/** Values at the ends of float32: the largest, the smallest, subnormal ones. */
export const ENDS = Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 1e-45, -1e-45, 1.1754943508222875e-38, 0, -0, 65_520);

/** A chunk as its codec leaves it. */
export interface Coded {
  readonly bytes: Uint8Array;
  readonly report: EncodeReport;
  readonly prepared: Prepared | undefined;
}

/** The codec's preparation for a tensor that is one chunk. */
export function preparedFor(codec: Codec, values: Float32Array): Prepared | undefined {
  const preparation = codec.prepare?.();
  preparation?.push(values);
  return preparation?.finish();
}

/** Codes values into a buffer of their own. */
export function codedBy(codec: Codec, values: Float32Array, prepared = preparedFor(codec, values)): Coded {
  const room = new Uint8Array(codec.encodedBytes(values.length));
  const report = codec.encode(values, room, prepared);
  return { bytes: written(codec, room, report), report, prepared };
}

export function decodedBy(codec: Codec, bytes: Uint8Array, elements: number): Float32Array {
  const values = new Float32Array(elements);
  codec.decode(bytes, values);
  return values;
}

/** `into[i] = fround(into[i] + fround(weight × values[i]))`; the weight is a float32. */
export function addedByHand(into: Float32Array, weight: number, values: Float32Array): Float32Array {
  const sums = into.slice();
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + Math.fround(weight * (values[i] as number));
  return sums;
}
