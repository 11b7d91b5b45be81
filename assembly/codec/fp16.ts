// The 16-bit cast `fp16`, as a codec and as the dtype F16. WebAssembly converts no halves, so bits
// do, eight values at once.
import { firstNonFinite, INFINITY_BITS } from './blocks';
import { pairsHigh, pairsLow, put, putTail, tailOf } from './lanes';

/** Bits of 65504, the largest finite half. */
const HALF_MAX: i32 = 0x477fe000;
/** Bits of 2^-14, the smallest normal half, and of 65520, from which on a half is infinite. */
const HALF_NORMAL: i32 = 0x38800000;
const HALF_OVERFLOW: i32 = 0x477ff000;

// Upper words of float32: the exponent's bits, 2^-14, 0.5 and 2^15.
const EXPONENT: i16 = 0x7f80;
const NORMAL: i16 = 0x3880;
const ONE_HALF: i16 = 0x3f00;
const LAST_BINADE: i16 = 0x4700;

let saturated: i32 = 0;

/** The number of values beyond ±65504 in the last `encodeFp16`. */
export function saturatedCount(): i32 {
  return saturated;
}

export function encodeFp16(from: usize, count: i32, to: usize): i32 {
  saturated = 0;
  return encodeSmall(from, count, to) ? -1 : encodeAny(from, count, to);
}

/** Narrows to the dtype F16: values beyond its range become infinite, a NaN stays a NaN. */
export function narrowF16(from: usize, count: i32, to: usize): void {
  if (!encodeSmall(from, count, to)) narrowAny(from, count, to);
}

/** Codes values under 2^15 in magnitude; false if there is another one. */
function encodeSmall(from: usize, count: i32, to: usize): bool {
  let most = i16x8.splat(0);
  let left = count;
  for (; left >= 8; left -= 8) {
    const a = v128.load(from);
    const b = v128.load(from, 16);
    const upper = upperWords(a, b);
    most = i16x8.max_s(most, v128.and(upper, i16x8.splat(EXPONENT)));
    v128.store(to, smallHalves(a, b, upper));
    from += 32;
    to += 16;
  }
  if (left > 0) {
    const last = tailOf(from, <usize>left << 2);
    const a = v128.load(last);
    const b = v128.load(last, 16);
    const upper = upperWords(a, b);
    most = i16x8.max_s(most, v128.and(upper, i16x8.splat(EXPONENT)));
    putTail(smallHalves(a, b, upper), to, <usize>left << 1);
  }
  return !v128.any_true(i16x8.ge_s(most, i16x8.splat(LAST_BINADE)));
}

@inline
function upperWords(a: v128, b: v128): v128 {
  return i16x8.narrow_i32x4_u(i32x4.shr_u(a, 16), i32x4.shr_u(b, 16));
}

/**
 * Halves of eight values, to nearest even. Added to 2^13 times its binade, a value is rounded to
 * the step of its half, and the low word of the sum counts these steps; below 2^-14, where all
 * steps are 2^-24, it is added to 0.5.
 */
@inline
function smallHalves(a: v128, b: v128, upper: v128): v128 {
  const sign = v128.and(upper, i16x8.splat(<i16>0x8000));
  const binade = i16x8.sub_sat_u(v128.and(upper, i16x8.splat(EXPONENT)), i16x8.splat(NORMAL));
  const adder = v128.or(i16x8.add(binade, i16x8.splat(ONE_HALF)), sign);
  const zero = i16x8.splat(0);
  const low = i32x4.splat(0xffff);
  const x = v128.and(f32x4.add(a, pairsLow(zero, adder)), low);
  const y = v128.and(f32x4.add(b, pairsHigh(zero, adder)), low);
  return v128.or(i16x8.add(i16x8.narrow_i32x4_u(x, y), i16x8.shl(binade, 3)), sign);
}

/** Codes any values; those beyond ±65504 are counted. */
function encodeAny(from: usize, count: i32, to: usize): i32 {
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
  return v128.any_true(i32x4.ge_s(most, i32x4.splat(INFINITY_BITS))) ? firstNonFinite(start, count) : -1;
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

function narrowAny(from: usize, count: i32, to: usize): void {
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

/**
 * A half is a number of steps over the binade 2^10 times as high; both are made as float32 bits,
 * and their difference is exact. So subnormal halves need no float32 subnormals, which the machine
 * handles a hundred times slower. Exponents of infinities and NaNs are all ones in the end. Stored or
 * added times `factor` as `put` does.
 */
@inline
export function widenFp16<T>(words: v128, to: usize, factor: v128): void {
  const magnitude = v128.and(words, i16x8.splat(0x7fff));
  const binade = i16x8.sub_sat_u(v128.and(words, i16x8.splat(0x7c00)), i16x8.splat(0x0400));
  const steps = i16x8.sub(magnitude, binade);
  const base = i16x8.add(i16x8.shr_u(binade, 3), i16x8.splat(ONE_HALF));
  const special = v128.and(i16x8.gt_s(magnitude, i16x8.splat(0x7bff)), i16x8.splat(EXPONENT));
  const extra = v128.or(v128.and(words, i16x8.splat(<i16>0x8000)), special);
  const zero = i16x8.splat(0);
  const low = f32x4.sub(pairsLow(steps, base), pairsLow(zero, base));
  const high = f32x4.sub(pairsHigh(steps, base), pairsHigh(zero, base));
  put<T>(to, v128.or(low, pairsLow(zero, extra)), factor);
  put<T>(to + 16, v128.or(high, pairsHigh(zero, extra)), factor);
}
