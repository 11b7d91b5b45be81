// AdamW (Loshchilov and Hutter 2019), as torch.optim.AdamW does it.

/** Elements first..end. Gradients are multiplied by `clip` first; `correction1`, `correction2` are 1 - beta^step. */
export function adamw(w: usize, g: usize, m: usize, v: usize, first: i32, end: i32, rate: f32, beta1: f32, beta2: f32, epsilon: f32, decay: f32, clip: f32, correction1: f32, correction2: f32): void {
  const keep: f32 = 1 - rate * decay;
  const step: f32 = rate / correction1;
  const root: f32 = sqrt<f32>(correction2);
  for (let i = first; i < end; i++) {
    const at = <usize>i << 2;
    const gradient = load<f32>(g + at) * clip;
    const mean = beta1 * load<f32>(m + at) + (<f32>1 - beta1) * gradient;
    const square = beta2 * load<f32>(v + at) + (<f32>1 - beta2) * gradient * gradient;
    store<f32>(m + at, mean);
    store<f32>(v + at, square);
    store<f32>(w + at, load<f32>(w + at) * keep - (step * mean) / (sqrt<f32>(square) / root + epsilon));
  }
}
