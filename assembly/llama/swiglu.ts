// SwiGLU: h = g * sigmoid(g) * u, and its gradients; lengths are padded to multiples of 4.
import { exp4 } from './exp';

// @ts-ignore: decorator
@inline
function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** Works on elements first..end, both multiples of 4. */
export function swiglu(g: usize, u: usize, h: usize, first: i32, end: i32): void {
  for (let at = <usize>first << 2; at < <usize>end << 2; at += 16) {
    const x = v128.load(g + at);
    v128.store(h + at, f32x4.mul(f32x4.mul(x, sigmoid4(x)), v128.load(u + at)));
  }
}

/** Replaces g by dg and u by du, given dh. */
export function swigluBackward(g: usize, u: usize, dh: usize, first: i32, end: i32): void {
  const one = f32x4.splat(1);
  for (let at = <usize>first << 2; at < <usize>end << 2; at += 16) {
    const x = v128.load(g + at);
    const s = sigmoid4(x);
    const silu = f32x4.mul(x, s);
    const d = v128.load(dh + at);
    const up = v128.load(u + at);
    v128.store(u + at, f32x4.mul(d, silu));
    // The derivative d silu / d x is s + x s (1 - s).
    const slope = f32x4.add(s, f32x4.mul(silu, f32x4.sub(one, s)));
    v128.store(g + at, f32x4.mul(f32x4.mul(d, up), slope));
  }
}
