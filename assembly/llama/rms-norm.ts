// RMSNorm: y = x * rstd * w with rstd = 1 / sqrt(mean(x²) + eps), and its gradients.
import { sum4 } from './exp';

/** The inputs are x, y [rows, d], rstd [rows] and w [d]. Works on rows first..end. */
export function rmsNorm(x: usize, w: usize, y: usize, rstd: usize, first: i32, end: i32, d: i32, eps: f32): void {
  for (let r = first; r < end; r++) {
    const from = x + (<usize>(r * d) << 2);
    const to = y + (<usize>(r * d) << 2);
    let sums = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= d; i += 4) {
      const v = v128.load(from + (<usize>i << 2));
      sums = f32x4.add(sums, f32x4.mul(v, v));
    }
    let sum = sum4(sums);
    for (; i < d; i++) {
      const v = load<f32>(from + (<usize>i << 2));
      sum += v * v;
    }
    const inverse: f32 = <f32>1 / sqrt<f32>(sum / <f32>d + eps);
    store<f32>(rstd + (<usize>r << 2), inverse);
    const scale = f32x4.splat(inverse);
    for (i = 0; i + 4 <= d; i += 4) {
      const at = <usize>i << 2;
      v128.store(to + at, f32x4.mul(f32x4.mul(v128.load(from + at), scale), v128.load(w + at)));
    }
    for (; i < d; i++) {
      const at = <usize>i << 2;
      store<f32>(to + at, load<f32>(from + at) * inverse * load<f32>(w + at));
    }
  }
}

/**
 * Computes dx[r] += d loss / d x; partial [chunk, d] gets the sum of dy * x * rstd over the 16 rows
 * of each chunk. Works on chunks first..end.
 */
export function rmsNormBackward(x: usize, w: usize, dy: usize, rstd: usize, dx: usize, partial: usize, first: i32, end: i32, rows: i32, d: i32): void {
  for (let chunk = first; chunk < end; chunk++) {
    const sums = partial + (<usize>(chunk * d) << 2);
    memory.fill(sums, 0, <usize>d << 2);
    for (let r = chunk * 16; r < min(rows, chunk * 16 + 16); r++) rowBackward(x, w, dy, rstd, dx, sums, r, d);
  }
}

function rowBackward(x: usize, w: usize, dy: usize, rstd: usize, dx: usize, sums: usize, r: i32, d: i32): void {
  const row = <usize>(r * d) << 2;
  const inverse = load<f32>(rstd + (<usize>r << 2));
  const scale = f32x4.splat(inverse);
  let dots = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= d; i += 4) {
    const at = <usize>i << 2;
    const normed = f32x4.mul(v128.load(x + row + at), scale);
    const g = v128.load(dy + row + at);
    dots = f32x4.add(dots, f32x4.mul(f32x4.mul(g, v128.load(w + at)), normed));
    v128.store(sums + at, f32x4.add(v128.load(sums + at), f32x4.mul(g, normed)));
  }
  let dot = sum4(dots);
  for (; i < d; i++) {
    const at = <usize>i << 2;
    const normed = load<f32>(x + row + at) * inverse;
    const g = load<f32>(dy + row + at);
    dot += g * load<f32>(w + at) * normed;
    store<f32>(sums + at, load<f32>(sums + at) + g * normed);
  }
  const mean = dot / <f32>d;
  const means = f32x4.splat(mean);
  for (i = 0; i + 4 <= d; i += 4) {
    const at = <usize>i << 2;
    const normed = f32x4.mul(v128.load(x + row + at), scale);
    const g = f32x4.sub(f32x4.mul(v128.load(dy + row + at), v128.load(w + at)), f32x4.mul(normed, means));
    v128.store(dx + row + at, f32x4.add(v128.load(dx + row + at), f32x4.mul(g, scale)));
  }
  for (; i < d; i++) {
    const at = <usize>i << 2;
    const normed = load<f32>(x + row + at) * inverse;
    const g = (load<f32>(dy + row + at) * load<f32>(w + at) - normed * mean) * inverse;
    store<f32>(dx + row + at, load<f32>(dx + row + at) + g);
  }
}
