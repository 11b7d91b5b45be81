// The causal softmax of attention scores, and its gradient.
import { largest } from './cross-entropy';
import { exp4, sum4 } from './exp';

/**
 * Works on s [rows, stride] in place, rows first..end: row i keeps columns 0..i scaled and
 * normalized, columns up to `width` become 0.
 */
export function softmaxRows(s: usize, stride: i32, first: i32, end: i32, width: i32, scale: f32): void {
  const scales = f32x4.splat(scale);
  for (let i = first; i < end; i++) {
    const row = s + (<usize>(i * stride) << 2);
    const count = i + 1;
    const maximum = largest(row, count);
    const shift = f32x4.splat(maximum);
    let sums = f32x4.splat(0);
    let sum: f32 = 0;
    let j = 0;
    for (; j + 4 <= count; j += 4) {
      const at = row + (<usize>j << 2);
      const e = exp4(f32x4.mul(f32x4.sub(v128.load(at), shift), scales));
      v128.store(at, e);
      sums = f32x4.add(sums, e);
    }
    for (; j < count; j++) {
      const at = row + (<usize>j << 2);
      const e = f32x4.extract_lane(exp4(f32x4.splat((load<f32>(at) - maximum) * scale)), 0);
      store<f32>(at, e);
      sum += e;
    }
    sum += sum4(sums);
    const inverse = f32x4.splat(<f32>1 / sum);
    for (j = 0; j + 4 <= count; j += 4) {
      const at = row + (<usize>j << 2);
      v128.store(at, f32x4.mul(v128.load(at), inverse));
    }
    for (; j < count; j++) {
      const at = row + (<usize>j << 2);
      store<f32>(at, load<f32>(at) * (<f32>1 / sum));
    }
    for (; j < width; j++) store<f32>(row + (<usize>j << 2), 0);
  }
}

/**
 * Computes ds = p * (dp - sum(p * dp)) * scale in place of dp, for rows first..end and `width`
 * columns (p is 0 behind the diagonal).
 */
export function softmaxRowsBackward(p: usize, dp: usize, stride: i32, first: i32, end: i32, width: i32, scale: f32): void {
  const scales = f32x4.splat(scale);
  for (let i = first; i < end; i++) {
    const row = <usize>(i * stride) << 2;
    let sums = f32x4.splat(0);
    let j = 0;
    for (; j + 4 <= width; j += 4) {
      const at = row + (<usize>j << 2);
      sums = f32x4.add(sums, f32x4.mul(v128.load(p + at), v128.load(dp + at)));
    }
    let sum = sum4(sums);
    for (; j < width; j++) {
      const at = row + (<usize>j << 2);
      sum += load<f32>(p + at) * load<f32>(dp + at);
    }
    const shift = f32x4.splat(sum);
    for (j = 0; j + 4 <= width; j += 4) {
      const at = row + (<usize>j << 2);
      v128.store(dp + at, f32x4.mul(f32x4.mul(v128.load(p + at), f32x4.sub(v128.load(dp + at), shift)), scales));
    }
    for (; j < width; j++) {
      const at = row + (<usize>j << 2);
      store<f32>(dp + at, load<f32>(p + at) * (load<f32>(dp + at) - sum) * scale);
    }
  }
}
