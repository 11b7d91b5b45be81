// Moves and adds rows and runs of floats.

/** Computes to[i] += from[i] for elements first..end. */
export function addTo(to: usize, from: usize, first: i32, end: i32): void {
  let i = first;
  for (; i + 4 <= end; i += 4) {
    const at = <usize>i << 2;
    v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
  }
  for (; i < end; i++) {
    const at = <usize>i << 2;
    store<f32>(to + at, load<f32>(to + at) + load<f32>(from + at));
  }
}

/**
 * Computes to[i] += mu * (w[i] - anchor[i]) for elements first..end: the gradient of mu / 2 * |w -
 * anchor|².
 */
export function pull(to: usize, w: usize, anchor: usize, mu: f32, first: i32, end: i32): void {
  const weight = f32x4.splat(mu);
  let i = first;
  for (; i + 4 <= end; i += 4) {
    const at = <usize>i << 2;
    const way = f32x4.sub(v128.load(w + at), v128.load(anchor + at));
    v128.store(to + at, f32x4.add(v128.load(to + at), f32x4.mul(weight, way)));
  }
  for (; i < end; i++) {
    const at = <usize>i << 2;
    store<f32>(to + at, load<f32>(to + at) + mu * (load<f32>(w + at) - load<f32>(anchor + at)));
  }
}

/** Zeroes elements first..end. */
export function fill(to: usize, first: i32, end: i32): void {
  if (end > first) memory.fill(to + (<usize>first << 2), 0, <usize>(end - first) << 2);
}

/** Copies to[r] = from[index[r]] for rows first..end of d floats. */
export function gatherRows(from: usize, index: usize, to: usize, first: i32, end: i32, d: i32): void {
  const bytes = <usize>d << 2;
  for (let r = first; r < end; r++) memory.copy(to + <usize>r * bytes, from + <usize>load<i32>(index + (<usize>r << 2)) * bytes, bytes);
}

/** Copies to[index[r]] = from[r] for rows first..end; indices are distinct. */
export function scatterRows(from: usize, index: usize, to: usize, first: i32, end: i32, d: i32): void {
  const bytes = <usize>d << 2;
  for (let r = first; r < end; r++) memory.copy(to + <usize>load<i32>(index + (<usize>r << 2)) * bytes, from + <usize>r * bytes, bytes);
}

/**
 * Computes to[index[r], c] += from[r, c] for all rows in order and columns first..end. Indices may
 * repeat, so threads share out columns. Rows whose index is `without` are left out.
 */
export function scatterAddColumns(from: usize, index: usize, to: usize, rows: i32, first: i32, end: i32, d: i32, without: i32): void {
  for (let r = 0; r < rows; r++) {
    const place = load<i32>(index + (<usize>r << 2));
    if (place == without) continue;
    const target = to + (<usize>(place * d) << 2);
    addTo(target, from + (<usize>(r * d) << 2), first, end);
  }
}

/** The sum of squares of elements first..end, in float64. */
export function sumOfSquares(x: usize, first: i32, end: i32): f64 {
  let low = f64x2.splat(0);
  let i = first;
  for (; i + 2 <= end; i += 2) {
    const v = f64x2.promote_low_f32x4(v128.load64_zero(x + (<usize>i << 2)));
    low = f64x2.add(low, f64x2.mul(v, v));
  }
  let sum = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
  for (; i < end; i++) {
    const v = <f64>load<f32>(x + (<usize>i << 2));
    sum += v * v;
  }
  return sum;
}
