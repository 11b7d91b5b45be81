// Softmax cross-entropy of rows of logits, with the gradient in place.
import { exp1, exp4, sum4 } from './exp';

/**
 * The logits are [rows, vocabulary], targets [rows]; figures [rows, 4] gets the maximum, the sum of
 * e^(x - maximum), the target's logit, and 1 if the target is the first arg max. If scale is not 0,
 * the logits become (softmax - one-hot) * scale. Works on rows first..end.
 */
export function crossEntropy(logits: usize, targets: usize, figures: usize, first: i32, end: i32, vocabulary: i32, scale: f32): void {
  for (let r = first; r < end; r++) {
    const row = logits + <usize>r * (<usize>vocabulary << 2);
    const target = load<i32>(targets + (<usize>r << 2));
    const maximum = largest(row, vocabulary);
    let best = 0;
    while (load<f32>(row + (<usize>best << 2)) != maximum && best < vocabulary - 1) best++;
    const wanted = load<f32>(row + (<usize>target << 2));
    const to = figures + (<usize>r << 4);
    const sum = sumExp(row, vocabulary, maximum);
    store<f32>(to, maximum);
    store<f32>(to, sum, 4);
    store<f32>(to, wanted, 8);
    store<f32>(to, best == target ? 1 : 0, 12);
    if (scale != 0) gradient(row, vocabulary, maximum, scale / sum, target, scale);
  }
}

function sumExp(row: usize, vocabulary: i32, maximum: f32): f32 {
  const shift = f32x4.splat(maximum);
  let sums = f32x4.splat(0);
  let j = 0;
  for (; j + 4 <= vocabulary; j += 4) sums = f32x4.add(sums, exp4(f32x4.sub(v128.load(row + (<usize>j << 2)), shift)));
  let sum = sum4(sums);
  for (; j < vocabulary; j++) sum += exp1(load<f32>(row + (<usize>j << 2)) - maximum);
  return sum;
}

function gradient(row: usize, vocabulary: i32, maximum: f32, factor: f32, target: i32, scale: f32): void {
  const shift = f32x4.splat(maximum);
  const factors = f32x4.splat(factor);
  let j = 0;
  for (; j + 4 <= vocabulary; j += 4) {
    const at = row + (<usize>j << 2);
    v128.store(at, f32x4.mul(exp4(f32x4.sub(v128.load(at), shift)), factors));
  }
  for (; j < vocabulary; j++) {
    const at = row + (<usize>j << 2);
    store<f32>(at, exp1(load<f32>(at) - maximum) * factor);
  }
  const at = row + (<usize>target << 2);
  store<f32>(at, load<f32>(at) - scale);
}

/** The maximum of a row; NaN if a value is NaN. */
export function largest(row: usize, count: i32): f32 {
  let found: f32 = -Infinity;
  let j = 0;
  if (count >= 4) {
    let lanes = v128.load(row);
    for (j = 4; j + 4 <= count; j += 4) lanes = f32x4.max(lanes, v128.load(row + (<usize>j << 2)));
    found = max(max(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1)), max(f32x4.extract_lane(lanes, 2), f32x4.extract_lane(lanes, 3)));
  }
  for (; j < count; j++) found = max(found, load<f32>(row + (<usize>j << 2)));
  return found;
}
