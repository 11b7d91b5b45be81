// AdamW (Loshchilov and Hutter 2019), with the arithmetic of torch.optim.AdamW.

/**
 * Updates elements first..end, four at once and the rest alone, with the same arithmetic. Gradients
 * are multiplied by `clip` first; `correction1` and `correction2` are 1 - beta^step.
 */
export function adamw(w: usize, g: usize, m: usize, v: usize, first: i32, end: i32, rate: f32, beta1: f32, beta2: f32, epsilon: f32, decay: f32, clip: f32, correction1: f32, correction2: f32): void {
  const keep: f32 = 1 - rate * decay;
  const step: f32 = rate / correction1;
  const root: f32 = sqrt<f32>(correction2);
  const rest1: f32 = <f32>1 - beta1;
  const rest2: f32 = <f32>1 - beta2;
  let i = first;
  for (; i + 4 <= end; i += 4) {
    const at = <usize>i << 2;
    const gradient = f32x4.mul(v128.load(g + at), f32x4.splat(clip));
    const mean = f32x4.add(f32x4.mul(f32x4.splat(beta1), v128.load(m + at)), f32x4.mul(f32x4.splat(rest1), gradient));
    const square = f32x4.add(f32x4.mul(f32x4.splat(beta2), v128.load(v + at)), f32x4.mul(f32x4.mul(f32x4.splat(rest2), gradient), gradient));
    v128.store(m + at, mean);
    v128.store(v + at, square);
    const size = f32x4.add(f32x4.div(f32x4.sqrt(square), f32x4.splat(root)), f32x4.splat(epsilon));
    const change = f32x4.div(f32x4.mul(f32x4.splat(step), mean), size);
    v128.store(w + at, f32x4.sub(f32x4.mul(v128.load(w + at), f32x4.splat(keep)), change));
  }
  for (; i < end; i++) {
    const at = <usize>i << 2;
    const gradient = load<f32>(g + at) * clip;
    const mean = beta1 * load<f32>(m + at) + rest1 * gradient;
    const square = beta2 * load<f32>(v + at) + rest2 * gradient * gradient;
    store<f32>(m + at, mean);
    store<f32>(v + at, square);
    store<f32>(w + at, load<f32>(w + at) * keep - (step * mean) / (sqrt<f32>(square) / root + epsilon));
  }
}
