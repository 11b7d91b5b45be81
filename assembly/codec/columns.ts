// Columns of float32 rows: sorted by a network of exchanges, and multiplied in float64; the same
// bits as src/codec/columns.ts.

/** Bytes of all rows of a block: it stays in the first-level cache. */
const BLOCK_BYTES: i32 = 32768;
/** The least width of a block, however many rows there are. */
const LEAST_WIDTH: i32 = 64;

/**
 * Sorts each column of `count` rows of `elements` values in place, by Batcher's merge exchange for
 * any number of rows (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M).
 */
export function sortColumns(rows: usize, count: i32, elements: i32): void {
  const stride = <usize>elements << 2;
  const width = max(LEAST_WIDTH, (BLOCK_BYTES / 4 / count) & ~7);
  for (let start = 0; start < elements; start += width) {
    sortBlock(rows + (<usize>start << 2), count, stride, min(width, elements - start));
  }
}

function sortBlock(rows: usize, count: i32, stride: usize, width: i32): void {
  let top = 1;
  while (top << 1 < count) top <<= 1;
  for (let p = count > 1 ? top : 0; p > 0; p >>= 1) {
    let q = top;
    let r = 0;
    let d = p;
    while (true) {
      for (let i = 0; i + d < count; i++) {
        if ((i & p) == r) exchange(rows + <usize>i * stride, rows + <usize>(i + d) * stride, width);
      }
      if (q == p) break;
      d = q - p;
      q >>= 1;
      r = p;
    }
  }
}

/** The smaller value of each two to `low`, the larger to `high`. */
@inline
function exchange(low: usize, high: usize, width: i32): void {
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    const a = v128.load(low);
    const b = v128.load(high);
    const c = v128.load(low, 16);
    const d = v128.load(high, 16);
    v128.store(low, f32x4.pmin(a, b));
    v128.store(high, f32x4.pmax(b, a));
    v128.store(low, f32x4.pmin(c, d), 16);
    v128.store(high, f32x4.pmax(d, c), 16);
    low += 32;
    high += 32;
  }
  for (; i < width; i++) {
    const a = load<f32>(low);
    const b = load<f32>(high);
    if (b < a) {
      store<f32>(low, b);
      store<f32>(high, a);
    }
    low += 4;
    high += 4;
  }
}

/** The dot product in float64: four sums, one for each index modulo 4, then (0 + 1) + (2 + 3). */
export function dotProduct(a: usize, b: usize, count: i32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const x = v128.load(a);
    const y = v128.load(b);
    low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y)));
    const upperX = f64x2.promote_low_f32x4(v128.shuffle<i32>(x, x, 2, 3, 0, 1));
    const upperY = f64x2.promote_low_f32x4(v128.shuffle<i32>(y, y, 2, 3, 0, 1));
    high = f64x2.add(high, f64x2.mul(upperX, upperY));
    a += 16;
    b += 16;
  }
  let first = f64x2.extract_lane(low, 0);
  let second = f64x2.extract_lane(low, 1);
  let third = f64x2.extract_lane(high, 0);
  if (i < count) first += <f64>load<f32>(a) * <f64>load<f32>(b);
  if (i + 1 < count) second += <f64>load<f32>(a, 4) * <f64>load<f32>(b, 4);
  if (i + 2 < count) third += <f64>load<f32>(a, 8) * <f64>load<f32>(b, 8);
  return first + second + (third + f64x2.extract_lane(high, 1));
}
