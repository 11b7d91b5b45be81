// The 16-bit casts `fp16` and `bf16`, as codecs and as the dtypes that tensors are stored in.
import { firstNonFinite, INFINITY_BITS } from './blocks';
import { tail } from './memory-map';

/** Bits of 65504, the largest finite half. */
const HALF_MAX: i32 = 0x477fe000;
/** Bits of 2^-14, the smallest normal half, and of 65520, from which on a half is infinite. */
const HALF_NORMAL: i32 = 0x38800000;
const HALF_OVERFLOW: i32 = 0x477ff000;

let saturated: i32 = 0;

/** The number of values beyond ±65504 in the last `encodeFp16`. */
export function saturatedCount(): i32 {
  return saturated;
}

/**
 * Halves of magnitudes (no sign, at most 65504), to nearest even. Below 2^-14, adding 0.5 rounds at
 * 2^-24, the smallest step of halves.
 */
@inline
function halfOfMagnitude(magnitude: v128): v128 {
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff - 0x38000000)), odd), 13);
  const half = f32x4.splat(0.5);
  const subnormal = i32x4.sub(f32x4.add(magnitude, half), half);
  return v128.bitselect(subnormal, normal, i32x4.lt_s(magnitude, i32x4.splat(HALF_NORMAL)));
}

export function encodeFp16(from: usize, count: i32, to: usize): i32 {
  const mask = i32x4.splat(0x7fffffff);
  const limit = i32x4.splat(HALF_MAX);
  let most = i32x4.splat(0);
  let beyond = i32x4.splat(0);
  const start = from;
  for (let i = 0; i < count; i += 8) {
    const whole = i + 8 <= count;
    const at = whole ? from : tailOf(from, <usize>(count - i) << 2);
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const x = v128.and(a, mask);
    const y = v128.and(b, mask);
    most = i32x4.max_s(most, i32x4.max_s(x, y));
    beyond = i32x4.add(beyond, i32x4.add(i32x4.gt_s(x, limit), i32x4.gt_s(y, limit)));
    const signs = i16x8.narrow_i32x4_s(i32x4.shr_s(a, 31), i32x4.shr_s(b, 31));
    const halves = i16x8.narrow_i32x4_u(halfOfMagnitude(i32x4.min_s(x, limit)), halfOfMagnitude(i32x4.min_s(y, limit)));
    const words = v128.or(halves, v128.and(signs, i16x8.splat(<i16>0x8000)));
    if (whole) v128.store(to, words);
    else putTail(words, to, <usize>(count - i) << 1);
    from += 32;
    to += 16;
  }
  saturated = -(i32x4.extract_lane(beyond, 0) + i32x4.extract_lane(beyond, 1) + i32x4.extract_lane(beyond, 2) + i32x4.extract_lane(beyond, 3));
  return hasNonFinite(most) ? firstNonFinite(start, count) : -1;
}

/** Narrows to the dtype F16: values beyond its range become infinite, a NaN stays a NaN. */
export function narrowF16(from: usize, count: i32, to: usize): void {
  for (let i = 0; i < count; i += 8) {
    const whole = i + 8 <= count;
    const at = whole ? from : tailOf(from, <usize>(count - i) << 2);
    const words = i16x8.narrow_i32x4_u(narrowFour(v128.load(at)), narrowFour(v128.load(at, 16)));
    if (whole) v128.store(to, words);
    else putTail(words, to, <usize>(count - i) << 1);
    from += 32;
    to += 16;
  }
}

@inline
function narrowFour(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fffffff));
  const finite = halfOfMagnitude(i32x4.min_s(magnitude, i32x4.splat(HALF_MAX)));
  const infinite = v128.or(i32x4.splat(0x7c00), v128.and(i32x4.gt_s(magnitude, i32x4.splat(INFINITY_BITS)), i32x4.splat(0x200)));
  const half = v128.bitselect(infinite, finite, i32x4.ge_s(magnitude, i32x4.splat(HALF_OVERFLOW)));
  return v128.or(half, v128.and(i32x4.shr_u(bits, 16), i32x4.splat(0x8000)));
}

export function encodeBf16(from: usize, count: i32, to: usize): i32 {
  const mask = i32x4.splat(0x7fffffff);
  let most = i32x4.splat(0);
  const start = from;
  for (let i = 0; i < count; i += 8) {
    const whole = i + 8 <= count;
    const at = whole ? from : tailOf(from, <usize>(count - i) << 2);
    const a = v128.load(at);
    const b = v128.load(at, 16);
    most = i32x4.max_s(most, i32x4.max_s(v128.and(a, mask), v128.and(b, mask)));
    const words = i16x8.narrow_i32x4_u(upperHalf(a), upperHalf(b));
    if (whole) v128.store(to, words);
    else putTail(words, to, <usize>(count - i) << 1);
    from += 32;
    to += 16;
  }
  return hasNonFinite(most) ? firstNonFinite(start, count) : -1;
}

@inline
function upperHalf(bits: v128): v128 {
  const odd = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  return i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), odd), 16);
}

/** Narrows to the dtype BF16: a NaN stays a NaN. */
export function narrowBf16(from: usize, count: i32, to: usize): void {
  for (let i = 0; i < count; i += 8) {
    const whole = i + 8 <= count;
    const at = whole ? from : tailOf(from, <usize>(count - i) << 2);
    const words = i16x8.narrow_i32x4_u(upperHalfOrNaN(v128.load(at)), upperHalfOrNaN(v128.load(at, 16)));
    if (whole) v128.store(to, words);
    else putTail(words, to, <usize>(count - i) << 1);
    from += 32;
    to += 16;
  }
}

@inline
function upperHalfOrNaN(bits: v128): v128 {
  const isNaN = i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fffffff)), i32x4.splat(INFINITY_BITS));
  return v128.bitselect(v128.or(i32x4.shr_u(bits, 16), i32x4.splat(0x40)), upperHalf(bits), isNaN);
}

export function decodeFp16(from: usize, count: i32, to: usize): void {
  cast<f32, bool>(from, count, 1, to);
}

export function accumulateFp16(from: usize, count: i32, weight: f32, into: usize): void {
  cast<f32, i32>(from, count, weight, into);
}

export function decodeBf16(from: usize, count: i32, to: usize): void {
  cast<i32, bool>(from, count, 1, to);
}

export function accumulateBf16(from: usize, count: i32, weight: f32, into: usize): void {
  cast<i32, i32>(from, count, weight, into);
}

/**
 * `W` chooses the cast at compile time (`f32`: fp16, `i32`: bf16); `T` chooses if values are stored
 * (`bool`) or added times `weight`.
 */
@inline
function cast<W, T>(from: usize, count: i32, weight: f32, to: usize): void {
  const factor = f32x4.splat(weight);
  for (let i = 0; i < count; i += 8) {
    const whole = i + 8 <= count;
    const last = tail();
    const words = v128.load(whole ? from : tailOf(from, <usize>(count - i) << 1));
    if (!whole && !isBoolean<T>()) memory.copy(last, to, <usize>(count - i) << 2);
    const at = whole ? to : last;
    put<T>(at, widen<W>(i32x4.extend_low_i16x8_u(words)), factor);
    put<T>(at + 16, widen<W>(i32x4.extend_high_i16x8_u(words)), factor);
    if (!whole) memory.copy(to, last, <usize>(count - i) << 2);
    from += 16;
    to += 32;
  }
}

@inline
function widen<W>(words: v128): v128 {
  return isFloat<W>() ? widenHalf(words) : i32x4.shl(words, 16);
}

/**
 * Widens subnormal halves by a subtraction: a multiplication would meet float32 subnormals, which
 * the machine handles a hundred times slower.
 */
@inline
function widenHalf(words: v128): v128 {
  const magnitude = v128.and(words, i32x4.splat(0x7fff));
  const sign = i32x4.shl(v128.xor(words, magnitude), 16);
  const shifted = i32x4.shl(magnitude, 13);
  const normal = i32x4.add(shifted, i32x4.splat(112 << 23));
  const smallest = i32x4.splat(113 << 23);
  const subnormal = f32x4.sub(v128.or(shifted, smallest), smallest);
  let value = v128.bitselect(subnormal, normal, i32x4.lt_s(magnitude, i32x4.splat(0x400)));
  const special = i32x4.ge_s(magnitude, i32x4.splat(0x7c00));
  value = i32x4.add(value, v128.and(special, i32x4.splat(112 << 23)));
  return v128.or(value, sign);
}

@inline
function put<T>(at: usize, values: v128, factor: v128): void {
  if (isBoolean<T>()) v128.store(at, values);
  else v128.store(at, f32x4.add(v128.load(at), f32x4.mul(factor, values)));
}

/** Computes `into += weight × from`. */
export function accumulateF32(from: usize, count: i32, weight: f32, into: usize): void {
  const factor = f32x4.splat(weight);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    put<i32>(into, v128.load(from), factor);
    from += 16;
    into += 16;
  }
  for (; i < count; i++) {
    store<f32>(into, load<f32>(into) + weight * load<f32>(from));
    from += 4;
    into += 4;
  }
}

@inline
function hasNonFinite(most: v128): bool {
  return v128.any_true(i32x4.ge_s(most, i32x4.splat(INFINITY_BITS)));
}

/** The last values, padded with zeros to a whole step. */
function tailOf(from: usize, bytes: usize): usize {
  const last = tail();
  memory.fill(last, 0, 64);
  memory.copy(last, from, bytes);
  return last;
}

function putTail(words: v128, to: usize, bytes: usize): void {
  const last = tail();
  v128.store(last, words);
  memory.copy(to, last, bytes);
}
