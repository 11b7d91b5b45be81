// The 16-bit cast `bf16`, as a codec and as the dtype BF16, and float32 added as it is.
import { firstNonFinite, INFINITY_BITS } from './blocks';
import { pairsHigh, pairsLow, put, putTail, tailOf } from './lanes';

export function encodeBf16(from: usize, count: i32, to: usize): i32 {
  let most = i32x4.splat(0);
  let left = count;
  let at = from;
  for (; left >= 8; left -= 8) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    most = largest(most, a, b);
    v128.store(to, i16x8.narrow_i32x4_u(upperHalf(a), upperHalf(b)));
    at += 32;
    to += 16;
  }
  if (left > 0) {
    const last = tailOf(at, <usize>left << 2);
    const a = v128.load(last);
    const b = v128.load(last, 16);
    most = largest(most, a, b);
    putTail(i16x8.narrow_i32x4_u(upperHalf(a), upperHalf(b)), to, <usize>left << 1);
  }
  return v128.any_true(i32x4.ge_s(most, i32x4.splat(INFINITY_BITS))) ? firstNonFinite(from, count) : -1;
}

@inline
function largest(most: v128, a: v128, b: v128): v128 {
  const mask = i32x4.splat(0x7fffffff);
  return i32x4.max_s(most, i32x4.max_s(v128.and(a, mask), v128.and(b, mask)));
}

@inline
function upperHalf(bits: v128): v128 {
  const odd = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  return i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), odd), 16);
}

/** Narrows to the dtype BF16: a NaN stays a NaN. */
export function narrowBf16(from: usize, count: i32, to: usize): void {
  let left = count;
  for (; left >= 8; left -= 8) {
    v128.store(to, i16x8.narrow_i32x4_u(upperHalfOrNaN(v128.load(from)), upperHalfOrNaN(v128.load(from, 16))));
    from += 32;
    to += 16;
  }
  if (left > 0) {
    const last = tailOf(from, <usize>left << 2);
    putTail(i16x8.narrow_i32x4_u(upperHalfOrNaN(v128.load(last)), upperHalfOrNaN(v128.load(last, 16))), to, <usize>left << 1);
  }
}

@inline
function upperHalfOrNaN(bits: v128): v128 {
  const isNaN = i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fffffff)), i32x4.splat(INFINITY_BITS));
  return v128.bitselect(v128.or(i32x4.shr_u(bits, 16), i32x4.splat(0x40)), upperHalf(bits), isNaN);
}

/** Eight values, stored or added times `factor` as `put` does. */
@inline
export function widenBf16<T>(words: v128, to: usize, factor: v128): void {
  const zero = i16x8.splat(0);
  put<T>(to, pairsLow(zero, words), factor);
  put<T>(to + 16, pairsHigh(zero, words), factor);
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
