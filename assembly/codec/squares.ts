// The sum of the squares of float32 values, in float64: the same order of additions as
// src/codec/squares.ts, so the same bits.

/** Four sums, one for each index modulo 4, then (0 + 1) + (2 + 3). */
export function sumOfSquares(from: usize, count: i32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const values = v128.load(from);
    const a = f64x2.promote_low_f32x4(values);
    const b = f64x2.promote_low_f32x4(v128.shuffle<i32>(values, values, 2, 3, 0, 1));
    low = f64x2.add(low, f64x2.mul(a, a));
    high = f64x2.add(high, f64x2.mul(b, b));
    from += 16;
  }
  let first = f64x2.extract_lane(low, 0);
  let second = f64x2.extract_lane(low, 1);
  let third = f64x2.extract_lane(high, 0);
  if (i < count) first += square(from);
  if (i + 1 < count) second += square(from + 4);
  if (i + 2 < count) third += square(from + 8);
  return first + second + (third + f64x2.extract_lane(high, 1));
}

@inline
function square(at: usize): f64 {
  const value = <f64>load<f32>(at);
  return value * value;
}
