// `blockwise8`: for each element an index into the 8-bit dynamic map, for each block an absmax.
import { absmaxBits, firstNonFinite, INFINITY_BITS, inverseScale } from './blocks';
import { BLOCKWISE8_MAP, BLOCKWISE8_TABLE, scaledMap, tail } from './memory-map';

/**
 * The host's table (`src/codec/kernel-tables.ts`): for each top 15 bits of a key the lower code, in
 * the high 15 bits, less the key at which the code rises. A lookup is one load, one add and one
 * shift: 13 times as fast as a binary search (measured).
 */
const TABLE = BLOCKWISE8_TABLE;

export function encodeBlockwise8(from: usize, count: i32, blockSize: i32, scales: usize, codes: usize): i32 {
  for (let start = 0; start < count; start += blockSize) {
    const block = from + (<usize>start << 2);
    const length = min(blockSize, count - start);
    const bits = absmaxBits(block, length);
    if (bits >= INFINITY_BITS) return firstNonFinite(from, count);
    store<i32>(scales, bits);
    scales += 4;
    const inverse = f32x4.splat(inverseScale(reinterpret<f32>(bits)));
    let i = 0;
    for (; i + 16 <= length; i += 16) {
      const at = block + (<usize>i << 2);
      v128.store(codes + i, sixteenCodes(at, inverse));
    }
    if (i < length) {
      const last = tail();
      memory.fill(last, 0, 64);
      memory.copy(last, block + (<usize>i << 2), <usize>(length - i) << 2);
      v128.store(last, sixteenCodes(last, inverse));
      memory.copy(codes + i, last, length - i);
    }
    codes += length;
  }
  return -1;
}

@inline
function sixteenCodes(at: usize, inverse: v128): v128 {
  const a = fourCodes(f32x4.mul(v128.load(at), inverse));
  const b = fourCodes(f32x4.mul(v128.load(at, 16), inverse));
  const c = fourCodes(f32x4.mul(v128.load(at, 32), inverse));
  const d = fourCodes(f32x4.mul(v128.load(at, 48), inverse));
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d));
}

/**
 * Codes of four values. They need not be clamped to -1..1, since the map has nothing above 1. A key
 * is the float's bits, changed so that they ascend with the float.
 */
@inline
function fourCodes(s: v128): v128 {
  const key = v128.xor(s, i32x4.shr_u(i32x4.shr_s(s, 31), 1));
  const index = v128.and(i32x4.shr_u(key, 15), i32x4.splat(0x1fffc));
  const low = v128.and(key, i32x4.splat(0x1ffff));
  const first = i64x2.extract_lane(index, 0);
  const second = i64x2.extract_lane(index, 1);
  let base = v128.load32_zero(TABLE + <u32>first);
  base = v128.load_lane<i32>(TABLE + <u32>(first >>> 32), base, 1);
  base = v128.load_lane<i32>(TABLE + <u32>second, base, 2);
  base = v128.load_lane<i32>(TABLE + <u32>(second >>> 32), base, 3);
  return i32x4.shr_u(i32x4.add(base, low), 17);
}

/** Multiplies the map by a factor, for blocks that are long enough to pay for it. */
@inline
function scaleMap(scaled: usize, factor: f32): void {
  const scale = f32x4.splat(factor);
  for (let at: usize = 0; at < 1024; at += 16) v128.store(scaled + at, f32x4.mul(v128.load(BLOCKWISE8_MAP + at), scale));
}

export function decodeBlockwise8(scales: usize, codes: usize, count: i32, blockSize: i32, to: usize): void {
  const scaled = scaledMap();
  for (let start = 0; start < count; start += blockSize) {
    const length = min(blockSize, count - start);
    scaleMap(scaled, load<f32>(scales));
    scales += 4;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      v128.store(to, fourScaled(scaled, codes));
      codes += 4;
      to += 16;
    }
    for (; i < length; i++) {
      store<f32>(to, load<f32>(scaled + (<usize>load<u8>(codes) << 2)));
      codes++;
      to += 4;
    }
  }
}

@inline
function fourScaled(scaled: usize, codes: usize): v128 {
  const word = load<u32>(codes);
  let values = v128.load32_zero(scaled + ((word & 0xff) << 2));
  values = v128.load_lane<i32>(scaled + ((word >>> 6) & 0x3fc), values, 1);
  values = v128.load_lane<i32>(scaled + ((word >>> 14) & 0x3fc), values, 2);
  return v128.load_lane<i32>(scaled + ((word >>> 22) & 0x3fc), values, 3);
}

/**
 * Computes `into += weight × (map × absmax)`. The scaled map takes the weight as well, which rounds
 * at the same places as decoding and then multiplying.
 */
export function accumulateBlockwise8(scales: usize, codes: usize, count: i32, blockSize: i32, weight: f32, into: usize): void {
  const scaled = scaledMap();
  for (let start = 0; start < count; start += blockSize) {
    const length = min(blockSize, count - start);
    scaleMap(scaled, load<f32>(scales));
    const factor = f32x4.splat(weight);
    for (let at: usize = 0; at < 1024; at += 16) v128.store(scaled + at, f32x4.mul(v128.load(scaled + at), factor));
    scales += 4;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      v128.store(into, f32x4.add(v128.load(into), fourScaled(scaled, codes)));
      codes += 4;
      into += 16;
    }
    for (; i < length; i++) {
      store<f32>(into, load<f32>(into) + load<f32>(scaled + (<usize>load<u8>(codes) << 2)));
      codes++;
      into += 4;
    }
  }
}
