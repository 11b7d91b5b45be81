// `fp4` and `nf4`: two nibbles in a byte, a float32 absmax for each block.
import { absmaxBits, firstNonFinite, INFINITY_BITS, inverseScale } from './blocks';
import { pairsHigh, pairsLow, put } from './lanes';
import { FP4_RULE, NF4_RULE, tail } from './memory-map';

// A rule is written by the host (src/codec/kernel-tables.ts). A value falls into one of 32 buckets
// that hold at most one threshold; the data of a bucket are fetched byte by byte with swizzles: at
// 0 four byte planes of the thresholds (32 bytes each), at 128 the nibble below (32), at 160 the
// nibble above (32), at 192 four byte planes of the 16 values.

export function encodeNf4(from: usize, count: i32, blockSize: i32, scales: usize, codes: usize): i32 {
  return encode<bool>(NF4_RULE, from, count, blockSize, scales, codes);
}

export function encodeFp4(from: usize, count: i32, blockSize: i32, scales: usize, codes: usize): i32 {
  return encode<i32>(FP4_RULE, from, count, blockSize, scales, codes);
}

/** `T` chooses the rule at compile time: `bool` for nf4, anything else for fp4. */
@inline
function encode<T>(rule: usize, from: usize, count: i32, blockSize: i32, scales: usize, codes: usize): i32 {
  for (let start = 0; start < count; start += blockSize) {
    const block = from + (<usize>start << 2);
    const length = min(blockSize, count - start);
    const bits = absmaxBits(block, length);
    if (bits >= INFINITY_BITS) return firstNonFinite(from, count);
    store<i32>(scales, bits);
    scales += 4;
    const inverse = f32x4.splat(inverseScale(reinterpret<f32>(bits)));
    let i = 0;
    for (; i + 16 <= length; i += 16) {
      v128.store_lane<i64>(codes, sixteen<T>(rule, block + (<usize>i << 2), inverse), 0);
      codes += 8;
    }
    if (i < length) {
      const last = tail();
      memory.fill(last, 0, 64);
      memory.copy(last, block + (<usize>i << 2), <usize>(length - i) << 2);
      v128.store_lane<i64>(last, sixteen<T>(rule, last, inverse), 0);
      memory.copy(codes, last, (length - i + 1) >> 1);
      codes += (length - i + 1) >> 1;
    }
  }
  return -1;
}

/** The nibbles of 16 values, two in a byte, in the low 8 bytes. */
@inline
function sixteen<T>(rule: usize, at: usize, inverse: v128): v128 {
  const a = f32x4.mul(v128.load(at), inverse);
  const b = f32x4.mul(v128.load(at, 16), inverse);
  const c = f32x4.mul(v128.load(at, 32), inverse);
  const d = f32x4.mul(v128.load(at, 48), inverse);
  const nibbles = isBoolean<T>() ? nf4Nibbles(rule, a, b, c, d) : fp4Nibbles(rule, a, b, c, d);
  // Even + 256 odd, times 4096 + 1, has 16 even + odd in its upper byte.
  const pairs = i16x8.shr_u(i16x8.mul(nibbles, i16x8.splat(0x1001)), 8);
  return i8x16.narrow_i16x8_u(pairs, pairs);
}

/**
 * Nibbles by buckets of 1/16: s + 5 lies in the binade of 4, whose upper 6 mantissa bits count
 * sixteenths. The value 1 joins the last bucket.
 */
@inline
function nf4Nibbles(rule: usize, a: v128, b: v128, c: v128, d: v128): v128 {
  const five = f32x4.splat(5);
  const low = i16x8.narrow_i32x4_s(i32x4.shr_u(f32x4.add(a, five), 17), i32x4.shr_u(f32x4.add(b, five), 17));
  const high = i16x8.narrow_i32x4_s(i32x4.shr_u(f32x4.add(c, five), 17), i32x4.shr_u(f32x4.add(d, five), 17));
  const first = i16x8.splat(0x2040);
  const index = i8x16.min_u(i8x16.narrow_i16x8_u(i16x8.sub(low, first), i16x8.sub(high, first)), i8x16.splat(31));
  const upper = i8x16.sub(index, i8x16.splat(16));
  const p0 = v128.or(i8x16.swizzle(v128.load(rule), index), i8x16.swizzle(v128.load(rule, 16), upper));
  const p1 = v128.or(i8x16.swizzle(v128.load(rule, 32), index), i8x16.swizzle(v128.load(rule, 48), upper));
  const p2 = v128.or(i8x16.swizzle(v128.load(rule, 64), index), i8x16.swizzle(v128.load(rule, 80), upper));
  const p3 = v128.or(i8x16.swizzle(v128.load(rule, 96), index), i8x16.swizzle(v128.load(rule, 112), upper));
  const below = v128.or(i8x16.swizzle(v128.load(rule, 128), index), i8x16.swizzle(v128.load(rule, 144), upper));
  return i8x16.sub(below, above(p0, p1, p2, p3, a, b, c, d));
}

/**
 * Nibbles by buckets of |s|, 1/16 each from 0: |s| + 1 lies in the binade of 1. Nibbles do not
 * ascend, so both neighbours are looked up. Bit 3 is the sign.
 */
@inline
function fp4Nibbles(rule: usize, a: v128, b: v128, c: v128, d: v128): v128 {
  const zero = f32x4.splat(0);
  const negative = i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(f32x4.lt(a, zero), f32x4.lt(b, zero)),
    i16x8.narrow_i32x4_s(f32x4.lt(c, zero), f32x4.lt(d, zero)),
  );
  a = f32x4.abs(a);
  b = f32x4.abs(b);
  c = f32x4.abs(c);
  d = f32x4.abs(d);
  const one = f32x4.splat(1);
  const low = i16x8.narrow_i32x4_s(i32x4.shr_u(f32x4.add(a, one), 19), i32x4.shr_u(f32x4.add(b, one), 19));
  const high = i16x8.narrow_i32x4_s(i32x4.shr_u(f32x4.add(c, one), 19), i32x4.shr_u(f32x4.add(d, one), 19));
  const first = i16x8.splat(0x07f0);
  const index = i8x16.min_u(i8x16.narrow_i16x8_u(i16x8.sub(low, first), i16x8.sub(high, first)), i8x16.splat(15));
  const p0 = i8x16.swizzle(v128.load(rule), index);
  const p1 = i8x16.swizzle(v128.load(rule, 32), index);
  const p2 = i8x16.swizzle(v128.load(rule, 64), index);
  const p3 = i8x16.swizzle(v128.load(rule, 96), index);
  const over = above(p0, p1, p2, p3, a, b, c, d);
  const magnitude = v128.bitselect(i8x16.swizzle(v128.load(rule, 160), index), i8x16.swizzle(v128.load(rule, 128), index), over);
  return v128.or(magnitude, v128.and(negative, i8x16.splat(8)));
}

/** Sixteen byte masks, set if a value is above its threshold, which is given as byte planes. */
@inline
function above(p0: v128, p1: v128, p2: v128, p3: v128, a: v128, b: v128, c: v128, d: v128): v128 {
  const l01 = interleaveLow(p0, p1);
  const h01 = interleaveHigh(p0, p1);
  const l23 = interleaveLow(p2, p3);
  const h23 = interleaveHigh(p2, p3);
  return i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(f32x4.gt(a, pairsLow(l01, l23)), f32x4.gt(b, pairsHigh(l01, l23))),
    i16x8.narrow_i32x4_s(f32x4.gt(c, pairsLow(h01, h23)), f32x4.gt(d, pairsHigh(h01, h23))),
  );
}

@inline
function interleaveLow(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline
function interleaveHigh(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

export function decodeFourBit(isNf4: bool, scales: usize, codes: usize, count: i32, blockSize: i32, to: usize): void {
  decode<bool>(isNf4 ? NF4_RULE : FP4_RULE, scales, codes, count, blockSize, 1, to);
}

export function accumulateFourBit(isNf4: bool, scales: usize, codes: usize, count: i32, blockSize: i32, weight: f32, into: usize): void {
  decode<i32>(isNf4 ? NF4_RULE : FP4_RULE, scales, codes, count, blockSize, weight, into);
}

/**
 * `T` chooses at compile time: `bool` stores the values, anything else adds them times `weight`.
 */
@inline
function decode<T>(rule: usize, scales: usize, codes: usize, count: i32, blockSize: i32, weight: f32, to: usize): void {
  const factor = f32x4.splat(weight);
  for (let start = 0; start < count; start += blockSize) {
    const scale = v128.load32_splat(scales);
    scales += 4;
    let left = min(blockSize, count - start);
    for (; left >= 16; left -= 16) {
      sixteenValues<T>(rule, v128.load64_zero(codes), scale, factor, to);
      codes += 8;
      to += 64;
    }
    if (left > 0) {
      const bytes = lastCodes(codes, left);
      const last = tail();
      if (!isBoolean<T>()) memory.copy(last, to, <usize>left << 2);
      sixteenValues<T>(rule, bytes, scale, factor, last);
      memory.copy(to, last, <usize>left << 2);
      codes += (left + 1) >> 1;
      to += <usize>left << 2;
    }
  }
}

/** The values of the codes in the low 8 bytes: their four byte planes are looked up, and woven. */
@inline
function sixteenValues<T>(rule: usize, bytes: v128, scale: v128, factor: v128, to: usize): void {
  const mask = i8x16.splat(15);
  const index = interleaveLow(v128.and(i16x8.shr_u(bytes, 4), mask), v128.and(bytes, mask));
  const p0 = i8x16.swizzle(v128.load(rule, 192), index);
  const p1 = i8x16.swizzle(v128.load(rule, 208), index);
  const p2 = i8x16.swizzle(v128.load(rule, 224), index);
  const p3 = i8x16.swizzle(v128.load(rule, 240), index);
  const l01 = interleaveLow(p0, p1);
  const h01 = interleaveHigh(p0, p1);
  const l23 = interleaveLow(p2, p3);
  const h23 = interleaveHigh(p2, p3);
  put<T>(to, f32x4.mul(pairsLow(l01, l23), scale), factor);
  put<T>(to + 16, f32x4.mul(pairsHigh(l01, l23), scale), factor);
  put<T>(to + 32, f32x4.mul(pairsLow(h01, h23), scale), factor);
  put<T>(to + 48, f32x4.mul(pairsHigh(h01, h23), scale), factor);
}

function lastCodes(codes: usize, values: i32): v128 {
  const last = tail();
  memory.fill(last, 0, 8);
  memory.copy(last, codes, (values + 1) >> 1);
  return v128.load64_zero(last);
}
