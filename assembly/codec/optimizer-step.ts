// A step of an optimizer over one chunk, four values at a time: the same operations in the same
// order as src/codec/optimizer-step.ts, so the same bits.
import { INFINITY_BITS } from './blocks';
import { tail } from './memory-map';

/** The rules, numbered as in src/codec/optimizer-step.ts. */
const SGD: i32 = 0;
const NESTEROV: i32 = 2;
const ADAM: i32 = 3;
const ADAGRAD: i32 = 4;
const YOGI: i32 = 5;

let stays: v128 = i32x4.splat(0);
let speed: v128 = i32x4.splat(0);
let shareOfFirst: v128 = i32x4.splat(0);
let gainOfFirst: v128 = i32x4.splat(0);
let shareOfSecond: v128 = i32x4.splat(0);
let gainOfSecond: v128 = i32x4.splat(0);
let floor: v128 = i32x4.splat(0);

/**
 * Moves the model along the update and brings the moments up to date, where they lie. Returns 1 if
 * all that was written is finite, else 0. A moment that the rule does not keep is the update's
 * address.
 */
export function optimizerStep(
  rule: i32,
  count: i32,
  update: usize,
  model: usize,
  first: usize,
  second: usize,
  keep: f32,
  rate: f32,
  beta1: f32,
  gain1: f32,
  beta2: f32,
  gain2: f32,
  tau: f32,
): i32 {
  stays = f32x4.splat(keep);
  speed = f32x4.splat(rate);
  shareOfFirst = f32x4.splat(beta1);
  gainOfFirst = f32x4.splat(gain1);
  shareOfSecond = f32x4.splat(beta2);
  gainOfSecond = f32x4.splat(gain2);
  floor = f32x4.splat(tau);
  // A loop for each rule: a choice in the loop would be made for every four values.
  if (rule == SGD) return over(SGD, count, update, model, first, second);
  if (rule == NESTEROV) return over(NESTEROV, count, update, model, first, second);
  if (rule == ADAM) return over(ADAM, count, update, model, first, second);
  if (rule == ADAGRAD) return over(ADAGRAD, count, update, model, first, second);
  if (rule == YOGI) return over(YOGI, count, update, model, first, second);
  return over(1, count, update, model, first, second);
}

@inline
function over(rule: i32, count: i32, update: usize, model: usize, first: usize, second: usize): i32 {
  let most = i32x4.splat(0);
  const whole = count & ~3;
  const end = model + (<usize>whole << 2);
  for (; model < end; model += 16) {
    most = i32x4.max_s(most, four(rule, update, model, first, second));
    update += 16;
    first += 16;
    second += 16;
  }
  const left = <usize>(count - whole) << 2;
  if (left > 0) {
    const at = tail();
    memory.fill(at, 0, 64);
    memory.copy(at, update, left);
    memory.copy(at + 16, model, left);
    const a = first == update ? at : at + 32;
    const b = second == update ? at : at + 48;
    if (first != update) memory.copy(a, first, left);
    if (second != update) memory.copy(b, second, left);
    most = i32x4.max_s(most, four(rule, at, at + 16, a, b));
    memory.copy(model, at + 16, left);
    if (first != update) memory.copy(first, a, left);
    if (second != update) memory.copy(second, b, left);
  }
  return i32(!v128.any_true(i32x4.ge_s(most, i32x4.splat(INFINITY_BITS))));
}

/** Steps four values; returns the largest magnitudes that were written, as bits. */
@inline
function four(rule: i32, update: usize, model: usize, first: usize, second: usize): v128 {
  const gradient = v128.load(update);
  const kept = f32x4.mul(stays, v128.load(model));
  let written = i32x4.splat(0);
  let move: v128;
  if (rule == SGD) move = f32x4.mul(speed, gradient);
  else if (rule < ADAM) {
    const velocity = f32x4.add(gradient, f32x4.mul(shareOfFirst, v128.load(first)));
    v128.store(first, velocity);
    written = magnitude(velocity);
    move = f32x4.mul(speed, rule == NESTEROV ? f32x4.add(gradient, f32x4.mul(shareOfFirst, velocity)) : velocity);
  } else {
    const square = f32x4.mul(gradient, gradient);
    const mean = f32x4.add(f32x4.mul(shareOfFirst, v128.load(first)), f32x4.mul(gainOfFirst, gradient));
    let v = v128.load(second);
    if (rule == ADAM) v = f32x4.add(f32x4.mul(shareOfSecond, v), f32x4.mul(gainOfSecond, square));
    else if (rule == ADAGRAD) v = f32x4.add(v, square);
    else {
      const off = f32x4.sub(v, square);
      const sign = v128.and(off, i32x4.splat(0x80000000));
      const change = v128.and(v128.xor(f32x4.mul(gainOfSecond, square), sign), f32x4.ne(off, f32x4.splat(0)));
      v = f32x4.sub(v, change);
    }
    v128.store(first, mean);
    v128.store(second, v);
    written = i32x4.max_s(magnitude(mean), magnitude(v));
    move = f32x4.div(f32x4.mul(speed, mean), f32x4.add(f32x4.sqrt(v), floor));
  }
  const next = f32x4.add(kept, move);
  v128.store(model, next);
  return i32x4.max_s(written, magnitude(next));
}

@inline
function magnitude(value: v128): v128 {
  return v128.and(value, i32x4.splat(0x7fffffff));
}
