// Steps that several kernels share: lanes woven, values stored or added, and short tails.
import { tail } from './memory-map';

/** The lower four words of each, taken in turn. */
@inline
export function pairsLow(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** The upper four words of each, taken in turn. */
@inline
export function pairsHigh(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/**
 * Stores four values, or adds them to those at the address, times `factor`: `T` chooses at compile
 * time, `bool` to store.
 */
@inline
export function put<T>(at: usize, values: v128, factor: v128): void {
  if (isBoolean<T>()) v128.store(at, values);
  else v128.store(at, f32x4.add(v128.load(at), f32x4.mul(factor, values)));
}

/** The last values, padded with zeros to a whole step. */
export function tailOf(from: usize, bytes: usize): usize {
  const last = tail();
  memory.fill(last, 0, 64);
  memory.copy(last, from, bytes);
  return last;
}

/** Writes the first `bytes` of a step. */
@inline
export function putTail(words: v128, to: usize, bytes: usize): void {
  const last = tail();
  v128.store(last, words);
  memory.copy(to, last, bytes);
}
