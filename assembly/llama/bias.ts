// The bias of a projection, and the sums over rows that gradients of biases and norms need.
import { addTo } from './rows';

/** Computes y[r, c] += b[c] for rows first..end of n floats. */
export function addBias(y: usize, b: usize, first: i32, end: i32, n: i32): void {
  for (let r = first; r < end; r++) addTo(y + <usize>r * (<usize>n << 2), b, 0, n);
}

/**
 * Computes to[c] += the sum of dy[r, c] over all rows in order, for columns first..end: threads
 * share out columns.
 */
export function sumRows(dy: usize, to: usize, rows: i32, first: i32, end: i32, n: i32): void {
  let c = first;
  for (; c + 4 <= end; c += 4) {
    let at = dy + (<usize>c << 2);
    let sums = f32x4.splat(0);
    for (let r = 0; r < rows; r++) {
      sums = f32x4.add(sums, v128.load(at));
      at += <usize>n << 2;
    }
    v128.store(to + (<usize>c << 2), f32x4.add(v128.load(to + (<usize>c << 2)), sums));
  }
  for (; c < end; c++) {
    let at = dy + (<usize>c << 2);
    let sum: f32 = 0;
    for (let r = 0; r < rows; r++) {
      sum += load<f32>(at);
      at += <usize>n << 2;
    }
    store<f32>(to + (<usize>c << 2), load<f32>(to + (<usize>c << 2)) + sum);
  }
}
