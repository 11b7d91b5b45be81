// Decodes `u1` to `u4`: odd multiples of a bfloat16 scale.
import { put } from './lanes';
import { tail } from './memory-map';
import { codeBytes, UNIFORM_BLOCK } from './uniform-layout';

export function decodeUniform(bits: i32, scales: usize, codes: usize, count: i32, to: usize): void {
  if (bits == 1) decode<bool>(1, scales, codes, count, 1, to);
  else if (bits == 2) decode<bool>(2, scales, codes, count, 1, to);
  else if (bits == 3) decode<bool>(3, scales, codes, count, 1, to);
  else decode<bool>(4, scales, codes, count, 1, to);
}

export function accumulateUniform(bits: i32, scales: usize, codes: usize, count: i32, weight: f32, into: usize): void {
  if (bits == 1) decode<i32>(1, scales, codes, count, weight, into);
  else if (bits == 2) decode<i32>(2, scales, codes, count, weight, into);
  else if (bits == 3) decode<i32>(3, scales, codes, count, weight, into);
  else decode<i32>(4, scales, codes, count, weight, into);
}

/**
 * `T` chooses at compile time: `bool` stores the values, anything else adds them times `weight`. A
 * scale of 0 makes every value +0.
 */
@inline
function decode<T>(bits: i32, scales: usize, codes: usize, count: i32, weight: f32, to: usize): void {
  const factor = f32x4.splat(weight);
  const last = tail();
  for (let start = 0; start < count; start += UNIFORM_BLOCK) {
    const length = min(UNIFORM_BLOCK, count - start);
    const word = v128.load16_splat(scales);
    const stored = i32x4.shl(word, 16);
    const live = f32x4.ne(stored, f32x4.splat(0));
    const scale = v128.and(stored, live);
    scales += 2;
    let i = 0;
    for (; i + 16 <= length; i += 16) {
      putSixteen<T>(bits, codes, scale, live, factor, to);
      codes += 2 * bits;
      to += 64;
    }
    if (i < length) {
      const size = <usize>(length - i) << 2;
      v128.store(last, i32x4.splat(0), 64);
      memory.copy(last + 64, codes, codeBytes(bits, length - i));
      memory.copy(last, to, size);
      putSixteen<T>(bits, last + 64, scale, live, factor, last);
      memory.copy(to, last, size);
    }
  }
}

@inline
function putSixteen<T>(bits: i32, codes: usize, scale: v128, live: v128, factor: v128, to: usize): void {
  if (bits == 1) {
    const word = i32x4.splat(<i32>load<u16>(codes));
    const sign = v128.and(live, i32x4.splat(0x80000000));
    put<T>(to, signed(word, i32x4(1, 2, 4, 8), sign, scale), factor);
    put<T>(to + 16, signed(word, i32x4(16, 32, 64, 128), sign, scale), factor);
    put<T>(to + 32, signed(word, i32x4(256, 512, 1024, 2048), sign, scale), factor);
    put<T>(to + 48, signed(word, i32x4(4096, 8192, 16384, 32768), sign, scale), factor);
    return;
  }
  // A float of v is a bfloat16, since v has few bits: one lookup by code gives its lower byte, one
  // its upper byte.
  const index = sixteenIndexes(bits, codes);
  const lower = i8x16.swizzle(v128.and(lowerBytes(bits), live), index);
  const upper = i8x16.swizzle(v128.and(upperBytes(bits), live), index);
  const low = v128.shuffle<i8>(lower, upper, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const high = v128.shuffle<i8>(lower, upper, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  put<T>(to, f32x4.mul(widenLow(low), scale), factor);
  put<T>(to + 16, f32x4.mul(widenHigh(low), scale), factor);
  put<T>(to + 32, f32x4.mul(widenLow(high), scale), factor);
  put<T>(to + 48, f32x4.mul(widenHigh(high), scale), factor);
}

/** The scale, negative where the code's bit is 0. */
@inline
function signed(word: v128, mask: v128, sign: v128, scale: v128): v128 {
  return v128.xor(scale, v128.and(i32x4.eq(v128.and(word, mask), i32x4.splat(0)), sign));
}

/**
 * Zeros are interleaved in the way that engines know: any other order costs two instructions more
 * (measured: u4 decodes at 5.5 GB/s then, not 9).
 */
@inline
function widenLow(words: v128): v128 {
  return v128.shuffle<i16>(i32x4.splat(0), words, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
function widenHigh(words: v128): v128 {
  return v128.shuffle<i16>(i32x4.splat(0), words, 4, 12, 5, 13, 6, 14, 7, 15);
}

/**
 * Lower bytes by code, from the lowest byte on: -3 is 0xc040, -1 0xbf80, 1 0x3f80, 3 0x4040, and so
 * on.
 */
@inline
function lowerBytes(bits: i32): v128 {
  if (bits == 2) return i64x2(0x40808040, 0);
  if (bits == 3) return i64x2(0xe0a040808040a0e0, 0);
  return i64x2(0x8040a0e010305070, 0x70503010e0a04080);
}

@inline
function upperBytes(bits: i32): v128 {
  if (bits == 2) return i64x2(0x403fbfc0, 0);
  if (bits == 3) return i64x2(0x4040403fbfc0c0c0, 0);
  return i64x2(0xbfc0c0c0c1c1c1c1, 0x414141414040403f);
}

/** Sixteen codes, a byte each. A multiplication shifts each code to the top of its word. */
@inline
function sixteenIndexes(bits: i32, codes: usize): v128 {
  if (bits == 4) {
    const bytes = v128.load64_zero(codes);
    const even = v128.and(bytes, i8x16.splat(15));
    const odd = v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15));
    return v128.shuffle<i8>(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  }
  if (bits == 2) {
    const bytes = v128.load32_zero(codes);
    const low = v128.shuffle<i8>(bytes, bytes, 0, 4, 0, 4, 0, 4, 0, 4, 1, 4, 1, 4, 1, 4, 1, 4);
    const high = v128.shuffle<i8>(bytes, bytes, 2, 4, 2, 4, 2, 4, 2, 4, 3, 4, 3, 4, 3, 4, 3, 4);
    const shifts = i16x8(16384, 4096, 1024, 256, 16384, 4096, 1024, 256);
    return i8x16.narrow_i16x8_u(i16x8.shr_u(i16x8.mul(low, shifts), 14), i16x8.shr_u(i16x8.mul(high, shifts), 14));
  }
  const bytes = v128.load_lane<i16>(codes + 4, v128.load32_zero(codes), 2);
  const low = v128.shuffle<i8>(bytes, bytes, 0, 1, 0, 1, 0, 1, 1, 2, 1, 2, 1, 2, 2, 6, 2, 6);
  const high = v128.shuffle<i8>(bytes, bytes, 3, 4, 3, 4, 3, 4, 4, 5, 4, 5, 4, 5, 5, 6, 5, 6);
  const shifts = i16x8(8192, 1024, 128, 4096, 512, 64, 2048, 256);
  return i8x16.narrow_i16x8_u(i16x8.shr_u(i16x8.mul(low, shifts), 13), i16x8.shr_u(i16x8.mul(high, shifts), 13));
}
