// Lookup tables of the SIMD kernels, made from the reference rules.
import { FedStreamError } from '../core/errors.js';
import { dynamicCode } from './blockwise8.js';
import type { FourBitRule } from './four-bit.js';
import { FP4_CODES, FP4_THRESHOLDS, FP4_VALUES } from './fp4.js';
import { NF4_MIDPOINTS, NF4_VALUES } from './nf4.js';

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function bitsOf(value: number): number {
  float[0] = value;
  return word[0] as number;
}

/**
 * Maps a float's bits to a signed integer that ascends with the float, and back: the map is its own
 * inverse.
 */
function floatOfKey(key: number): number {
  word[0] = key ^ ((key >> 31) >>> 1);
  return float[0] as number;
}

const BUCKET_BITS = 17;
const BUCKET_KEYS = 1 << BUCKET_BITS;

/**
 * The table of `blockwise8`: for each top 15 bits of a key, the word `w` for which `(w + low 17
 * bits) >>> 17` is the code. It holds the bucket's first code in the high bits, and below it as
 * much as makes the sum carry from the key on at which the code rises. No bucket holds two
 * thresholds, which is checked here.
 */
export function blockwise8Table(): Uint32Array {
  const table = new Uint32Array(1 << (32 - BUCKET_BITS));
  for (let bucket = 0; bucket < table.length; bucket++) {
    const first = bucket << BUCKET_BITS;
    const last = first | (BUCKET_KEYS - 1);
    if (!Number.isFinite(floatOfKey(first)) || !Number.isFinite(floatOfKey(last))) continue; // never looked up
    const code = dynamicCode(floatOfKey(first));
    const rise = dynamicCode(floatOfKey(last)) - code;
    if (rise > 1) throw new FedStreamError('internal', `bucket ${bucket} of the 8-bit map holds ${rise} thresholds`);
    table[bucket] = (code << BUCKET_BITS) + (rise === 0 ? 0 : BUCKET_KEYS - firstAbove(first, code));
  }
  return table;
}

/** The smallest low bits in a bucket whose code is above `code`. */
function firstAbove(first: number, code: number): number {
  let low = 0;
  let high = BUCKET_KEYS - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (dynamicCode(floatOfKey(first | middle)) > code) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The bucket of a value, as `nf4Nibbles` in assembly/codec/four-bit.ts has it. */
function nf4Bucket(s: number): number {
  return Math.min(Math.max((bitsOf(Math.fround(s + 5)) >>> 17) - 0x2040, 0), 31);
}

/** The bucket of a value, as `fp4Nibbles` in assembly/codec/four-bit.ts has it. */
function fp4Bucket(s: number): number {
  return Math.min((bitsOf(Math.fround(s + 1)) >>> 19) - 0x07f0, 15);
}

/** The table of `nf4` (layout: assembly/codec/four-bit.ts). */
export function nf4Table(): Uint8Array {
  const codes = Array.from({ length: 16 }, (_, rank) => rank);
  return ruleTable(NF4_MIDPOINTS, codes, nf4Bucket, NF4_VALUES);
}

/** The table of `fp4` (layout: assembly/codec/four-bit.ts). */
export function fp4Table(): Uint8Array {
  return ruleTable(FP4_THRESHOLDS, FP4_CODES, fp4Bucket, FP4_VALUES);
}

/**
 * Makes a table in the layout of assembly/codec/four-bit.ts. Buckets ascend with the value, so each
 * needs only its own threshold and the codes on both sides of it.
 */
function ruleTable(
  thresholds: Float32Array,
  codes: readonly number[],
  bucketOf: (s: number) => number,
  values: FourBitRule['values'],
): Uint8Array {
  const table = new Uint8Array(256);
  const buckets = [...thresholds].map(bucketOf);
  if (new Set(buckets).size !== buckets.length) throw new FedStreamError('internal', 'a bucket holds two thresholds');
  for (let bucket = 0; bucket < 32; bucket++) {
    const below = buckets.filter((other) => other < bucket).length;
    const own = buckets.includes(bucket) ? (thresholds[below] as number) : Number.POSITIVE_INFINITY;
    putPlanes(table, bucket, 32, own);
    table[128 + bucket] = codes[below] as number;
    table[160 + bucket] = codes[Math.min(below + 1, codes.length - 1)] as number;
  }
  for (const [nibble, value] of values.entries()) putPlanes(table.subarray(192), nibble, 16, value);
  return table;
}

/** Stores the four bytes of a float32, each in its own plane. */
function putPlanes(planes: Uint8Array, at: number, planeBytes: number, value: number): void {
  const bits = bitsOf(value);
  for (let plane = 0; plane < 4; plane++) planes[plane * planeBytes + at] = (bits >>> (8 * plane)) & 0xff;
}
