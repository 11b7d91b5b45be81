// What the block-wise kernels share: absmax of a block, its inverse, the search for a value that is no number.

/** Bits of an infinity; whatever is at or above it is no number that a codec can code. */
export const INFINITY_BITS: i32 = 0x7f800000;

/** docs/spec/codecs.md, scaling: a block of zeros is scaled by 1 / 1e-38 rather than by infinity. */
const SMALLEST_ABSMAX: f32 = 1e-38;

/** Bits of max |x|. Magnitudes order like their bits, so one integer maximum finds infinities and NaNs as well. */
@inline
export function absmaxBits(from: usize, count: i32): i32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    a = i32x4.max_s(a, v128.and(v128.load(from), magnitude));
    b = i32x4.max_s(b, v128.and(v128.load(from, 16), magnitude));
    from += 32;
  }
  a = i32x4.max_s(a, b);
  a = i32x4.max_s(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1));
  a = i32x4.max_s(a, v128.shuffle<i32>(a, a, 1, 0, 3, 2));
  let most = i32x4.extract_lane(a, 0);
  for (; i < count; i++) {
    most = max<i32>(most, load<i32>(from) & 0x7fffffff);
    from += 4;
  }
  return most;
}

/** `1 / max(absmax, 1e-38)` in float32. */
@inline
export function inverseScale(absmax: f32): f32 {
  return <f32>1 / max<f32>(absmax, SMALLEST_ABSMAX);
}

/** Index of the first infinity or NaN; only called where there is one. */
export function firstNonFinite(from: usize, count: i32): i32 {
  for (let i = 0; i < count; i++) {
    if ((load<i32>(from + (<usize>i << 2)) & 0x7fffffff) >= INFINITY_BITS) return i;
  }
  return -1;
}

/** Index of the first infinity or NaN, or -1. */
export function nonFiniteIndex(from: usize, count: i32): i32 {
  return absmaxBits(from, count) >= INFINITY_BITS ? firstNonFinite(from, count) : -1;
}

/** absmax of each block; -1, or the index of a value that is no number. */
export function blockAbsmaxes(from: usize, count: i32, blockSize: i32, scales: usize): i32 {
  for (let start = 0; start < count; start += blockSize) {
    const block = from + (<usize>start << 2);
    const bits = absmaxBits(block, min(blockSize, count - start));
    if (bits >= INFINITY_BITS) return firstNonFinite(from, count);
    store<i32>(scales, bits);
    scales += 4;
  }
  return -1;
}
