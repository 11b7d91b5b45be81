// Widens the 16-bit casts to float32, eight values at a time: one loop for both of them.
import { widenBf16 } from './bf16';
import { widenFp16 } from './fp16';
import { tailOf } from './lanes';
import { tail } from './memory-map';

export function decodeFp16(from: usize, count: i32, to: usize): void {
  widen<f32, bool>(from, count, 1, to);
}

export function accumulateFp16(from: usize, count: i32, weight: f32, into: usize): void {
  widen<f32, i32>(from, count, weight, into);
}

export function decodeBf16(from: usize, count: i32, to: usize): void {
  widen<i32, bool>(from, count, 1, to);
}

export function accumulateBf16(from: usize, count: i32, weight: f32, into: usize): void {
  widen<i32, i32>(from, count, weight, into);
}

/**
 * `W` chooses the cast at compile time (`f32`: fp16, `i32`: bf16); `T` chooses if values are stored
 * (`bool`) or added times `weight`.
 */
@inline
function widen<W, T>(from: usize, count: i32, weight: f32, to: usize): void {
  const factor = f32x4.splat(weight);
  let left = count;
  for (; left >= 8; left -= 8) {
    widenEight<W, T>(v128.load(from), to, factor);
    from += 16;
    to += 32;
  }
  if (left > 0) {
    const words = v128.load(tailOf(from, <usize>left << 1));
    const last = tail();
    if (!isBoolean<T>()) memory.copy(last, to, <usize>left << 2);
    widenEight<W, T>(words, last, factor);
    memory.copy(to, last, <usize>left << 2);
  }
}

@inline
function widenEight<W, T>(words: v128, to: usize, factor: v128): void {
  if (isFloat<W>()) widenFp16<T>(words, to, factor);
  else widenBf16<T>(words, to, factor);
}
