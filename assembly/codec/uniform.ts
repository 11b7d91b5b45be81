// Encodes `u1` to `u4`: the step that fits each block of 128 best, and a code for each element.
import { firstNonFinite, INFINITY_BITS } from './blocks';
import { uniformBlock, uniformCodes, uniformSums, uniformValues } from './memory-map';
import { codeBytes, UNIFORM_BLOCK } from './uniform-layout';

// A block is kept as 2y beside v / 2: their product is that of y and v, to the bit, and v / 2 =
// floor(y * r) + 0.5 comes one addition sooner.

const BLOCK_BYTES: usize = 512;
/** A block whose sum of squares overflows is coded at 2^-70 of its size. */
const SHRINK: f32 = reinterpret<f32>((127 - 70) << 23);
const GROW: f32 = reinterpret<f32>((127 + 70) << 23);

/** Encodes a chunk; returns -1, or the index of an infinite or NaN value. */
export function encodeUniform(bits: i32, from: usize, count: i32, scales: usize, codes: usize): i32 {
  if (bits == 1) return encode(1, from, count, scales, codes);
  if (bits == 2) return encode(2, from, count, scales, codes);
  if (bits == 3) return encode(3, from, count, scales, codes);
  return encode(4, from, count, scales, codes);
}

@inline
function encode(bits: i32, from: usize, count: i32, scales: usize, codes: usize): i32 {
  for (let start = 0; start < count; start += UNIFORM_BLOCK) {
    const n = min(UNIFORM_BLOCK, count - start);
    const at = from + (<usize>start << 2);
    const scale = n == UNIFORM_BLOCK ? encodeBlock(bits, at, n, codes) : encodeTail(bits, at, n, codes);
    if (scale < 0) return firstNonFinite(from, count);
    store<u16>(scales, <u16>scale);
    scales += 2;
    codes += 16 * bits;
  }
  return -1;
}

/**
 * Codes a short block with zeros behind it, which add nothing but 1 each to `sum(v * v)`; their
 * codes become 0.
 */
@inline
function encodeTail(bits: i32, from: usize, n: i32, codes: usize): i32 {
  const values = uniformValues();
  const made = uniformCodes();
  memory.fill(values, 0, BLOCK_BYTES);
  memory.copy(values, from, <usize>n << 2);
  const scale = encodeBlock(bits, values, n, made);
  const whole = <usize>(n * bits) >> 3;
  const mask = (1 << ((n * bits) & 7)) - 1;
  store<u8>(made + whole, <u8>(<i32>load<u8>(made + whole) & mask));
  memory.fill(made + whole + 1, 0, 3);
  memory.copy(codes, made, codeBytes(bits, n));
  return scale;
}

let n2: f32 = 0;
let absSum: f32 = 0;
let topBits: i32 = 0;

/** Codes a block; returns the bits of its bfloat16 scale, or -1 if a value is infinite or NaN. */
@inline
function encodeBlock(bits: i32, from: usize, n: i32, codes: usize): i32 {
  measure(bits, from);
  if (topBits >= INFINITY_BITS) return -1;
  if (n2 == 0) {
    memory.fill(codes, 0, 16 * bits);
    return 0;
  }
  if (reinterpret<i32>(n2) < INFINITY_BITS) return upperHalf(stepOf(bits, from, n, codes));
  const values = uniformValues();
  const factor = f32x4.splat(SHRINK);
  for (let i: usize = 0; i < BLOCK_BYTES; i += 16) v128.store(values + i, f32x4.mul(v128.load(from + i), factor));
  measure(bits, values);
  return min(upperHalf(stepOf(bits, values, n, codes) * GROW), largestScale(bits));
}

/** The largest bfloat16 whose product with `2^bits - 1` is finite. */
@inline
function largestScale(bits: i32): i32 {
  return bits == 1 ? 0x7f7f : bits == 2 ? 0x7eaa : bits == 3 ? 0x7e12 : 0x7d88;
}

/** The upper half of a float, to nearest even. */
@inline
function upperHalf(value: f32): i32 {
  const word = reinterpret<i32>(value);
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/**
 * Finds the sum of squares, the largest magnitude and, for one bit, the sum of magnitudes; for more
 * bits the block is doubled.
 */
@inline
function measure(bits: i32, from: usize): void {
  const block = uniformBlock();
  const magnitude = i32x4.splat(0x7fffffff);
  let squares = f32x4.splat(0);
  let magnitudes = f32x4.splat(0);
  let most = i32x4.splat(0);
  for (let i: usize = 0; i < BLOCK_BYTES; i += 16) {
    const y = v128.load(from + i);
    const size = v128.and(y, magnitude);
    squares = f32x4.add(squares, f32x4.mul(y, y));
    most = i32x4.max_s(most, size);
    if (bits == 1) magnitudes = f32x4.add(magnitudes, size);
    else v128.store(block + i, f32x4.add(y, y));
  }
  n2 = lanes(squares);
  if (bits == 1) absSum = lanes(magnitudes);
  most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  topBits = max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1));
}

@inline
function lanes(sums: v128): f32 {
  const low = f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1);
  return low + (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
}

@inline
function stepOf(bits: i32, from: usize, n: i32, codes: usize): f32 {
  if (bits == 1) return oneBit(from, n, codes);
  return bits == 2 ? fromOneStart(n, codes) : fromFourStarts(bits, n, codes);
}

/**
 * The step to store: the one that keeps the block's length along itself, or that of least squares
 * if outliers set the two apart.
 */
@inline
function storedStep(c: f32, s: f32): f32 {
  const along = n2 / c;
  return along > s + s ? s : along;
}

/** One bit: the codes are the signs, and `sum(v * v)` is n. */
@inline
function oneBit(from: usize, n: i32, codes: usize): f32 {
  const r = f32x4.splat(<f32>0.5 / (absSum / <f32>n));
  let sums = f32x4.splat(0);
  for (let i: usize = 0; i < BLOCK_BYTES; i += 64) {
    const a = v128.load(from + i);
    const b = v128.load(from + i, 16);
    const c = v128.load(from + i, 32);
    const d = v128.load(from + i, 48);
    const na = f32x4.lt(f32x4.mul(a, r), f32x4.splat(0));
    const nb = f32x4.lt(f32x4.mul(b, r), f32x4.splat(0));
    const nc = f32x4.lt(f32x4.mul(c, r), f32x4.splat(0));
    const nd = f32x4.lt(f32x4.mul(d, r), f32x4.splat(0));
    sums = f32x4.add(sums, v128.xor(a, i32x4.shl(na, 31)));
    sums = f32x4.add(sums, v128.xor(b, i32x4.shl(nb, 31)));
    sums = f32x4.add(sums, v128.xor(c, i32x4.shl(nc, 31)));
    sums = f32x4.add(sums, v128.xor(d, i32x4.shl(nd, 31)));
    const negative = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(na, nb), i16x8.narrow_i32x4_s(nc, nd));
    store<u16>(codes, <u16>~i8x16.bitmask(negative));
    codes += 2;
  }
  const c = lanes(sums);
  return storedStep(c, c / <f32>n);
}

/** Half of `0.5 / s`, which is never infinite: a start is 0 if `n2 / n` underflows. */
@inline
function halfInverse(s: v128): v128 {
  const largest = f32x4.splat(reinterpret<f32>(INFINITY_BITS - 1));
  return f32x4.mul(f32x4.pmin(f32x4.div(f32x4.splat(0.5), s), largest), f32x4.splat(0.5));
}

/** The values of v / 2 for four elements. */
@inline
function halfLevels(bits: i32, doubled: v128, r: v128): v128 {
  return f32x4.add(levels(bits, doubled, r), f32x4.splat(0.5));
}

/** The values of k - L / 2 for four elements. */
@inline
function levels(bits: i32, doubled: v128, r: v128): v128 {
  const half = <f32>(1 << (bits - 1));
  return f32x4.pmax(f32x4.pmin(f32x4.floor(f32x4.mul(doubled, r)), f32x4.splat(half - 1)), f32x4.splat(-half));
}

@inline
function fromOneStart(n: i32, codes: usize): f32 {
  let s = <f32>0.498 * sqrt<f32>(n2 / <f32>n);
  let r = f32x4.splat(0);
  let c: f32 = 0;
  for (let round = 0; round < 2; round++) {
    r = halfInverse(f32x4.splat(s));
    const block = uniformBlock();
    let sums = f32x4.splat(0);
    let squares = f32x4.splat(0);
    for (let i: usize = 0; i < BLOCK_BYTES; i += 16) {
      const y = v128.load(block + i);
      const w = halfLevels(2, y, r);
      sums = f32x4.add(sums, f32x4.mul(y, w));
      squares = f32x4.add(squares, f32x4.mul(w, w));
    }
    c = lanes(sums);
    s = c / (<f32>4 * lanes(squares) - <f32>(UNIFORM_BLOCK - n));
  }
  putCodes(2, r, codes);
  return storedStep(c, s);
}

@inline
function fromFourStarts(bits: i32, n: i32, codes: usize): f32 {
  const rms = sqrt<f32>(n2 / <f32>n);
  const fitting = reinterpret<f32>(topBits) / <f32>((1 << bits) - 1);
  let s = f32x4.splat(fitting);
  s = f32x4.mul(s, f32x4(1, 1, 0.85, 0.7));
  s = f32x4.replace_lane(s, 0, <f32>(bits == 3 ? 0.293 : 0.168) * rms);
  let r = halfInverse(s);
  let c = sumsOf(bits, r);
  s = f32x4.div(c, squaresOf(n));
  r = halfInverse(s);
  c = sumsOf(bits, r);
  s = f32x4.div(c, squaresOf(n));
  const errors = f32x4.sub(f32x4.splat(n2), f32x4.mul(c, s));
  const at = uniformSums();
  v128.store(at, errors);
  v128.store(at, r, 16);
  v128.store(at, c, 32);
  v128.store(at, s, 48);
  let best = at;
  for (let start = at + 4; start < at + 16; start += 4) if (load<f32>(start) < load<f32>(best)) best = start;
  putCodes(bits, v128.load32_splat(best, 16), codes);
  return storedStep(load<f32>(best, 32), load<f32>(best, 48));
}

/**
 * The `sum(y * v)` of four starts, a lane for each; leaves behind the data that `squaresOf` reads.
 */
@inline
function sumsOf(bits: i32, r: v128): v128 {
  twoSums(bits, v128.shuffle<i32>(r, r, 0, 0, 0, 0), v128.shuffle<i32>(r, r, 1, 1, 1, 1), uniformSums());
  twoSums(bits, v128.shuffle<i32>(r, r, 2, 2, 2, 2), v128.shuffle<i32>(r, r, 3, 3, 3, 3), uniformSums() + 32);
  return fourLanes(uniformSums());
}

/** The `sum(v * v)`: whole numbers, exact in any order. */
@inline
function squaresOf(n: i32): v128 {
  return f32x4.sub(f32x4.mul(fourLanes(uniformSums() + 64), f32x4.splat(4)), f32x4.splat(<f32>(UNIFORM_BLOCK - n)));
}

/**
 * Sums for two starts at once: one alone waits for its additions (measured: 0.72 GB/s against
 * 0.88), and more need more registers than there are.
 */
@inline
function twoSums(bits: i32, ra: v128, rb: v128, to: usize): void {
  const block = uniformBlock();
  let ca = f32x4.splat(0);
  let cb = f32x4.splat(0);
  let qa = f32x4.splat(0);
  let qb = f32x4.splat(0);
  for (let i: usize = 0; i < BLOCK_BYTES; i += 16) {
    const y = v128.load(block + i);
    const a = halfLevels(bits, y, ra);
    const b = halfLevels(bits, y, rb);
    ca = f32x4.add(ca, f32x4.mul(y, a));
    cb = f32x4.add(cb, f32x4.mul(y, b));
    qa = f32x4.add(qa, f32x4.mul(a, a));
    qb = f32x4.add(qb, f32x4.mul(b, b));
  }
  v128.store(to, ca);
  v128.store(to, cb, 16);
  v128.store(to, qa, 64);
  v128.store(to, qb, 80);
}

/** The sums `(l0 + l1) + (l2 + l3)` of four vectors. */
@inline
function fourLanes(at: usize): v128 {
  const a = v128.load(at);
  const b = v128.load(at, 16);
  const c = v128.load(at, 32);
  const d = v128.load(at, 48);
  const ab02 = v128.shuffle<i32>(a, b, 0, 4, 2, 6);
  const ab13 = v128.shuffle<i32>(a, b, 1, 5, 3, 7);
  const cd02 = v128.shuffle<i32>(c, d, 0, 4, 2, 6);
  const cd13 = v128.shuffle<i32>(c, d, 1, 5, 3, 7);
  const ab = f32x4.add(ab02, ab13); // a0+a1 b0+b1 a2+a3 b2+b3
  const cd = f32x4.add(cd02, cd13);
  return f32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/** Writes the codes of the whole block to the step of `r`, packed. */
@inline
function putCodes(bits: i32, r: v128, codes: usize): void {
  const block = uniformBlock();
  for (let i: usize = 0; i < BLOCK_BYTES; i += 128) {
    putPacked(bits, sixteenCodes(bits, block + i, r), sixteenCodes(bits, block + i + 64, r), codes);
    codes += 4 * bits;
  }
}

@inline
function sixteenCodes(bits: i32, at: usize, r: v128): v128 {
  const low = i16x8.narrow_i32x4_s(fourCodes(bits, v128.load(at), r), fourCodes(bits, v128.load(at, 16), r));
  const high = i16x8.narrow_i32x4_s(fourCodes(bits, v128.load(at, 32), r), fourCodes(bits, v128.load(at, 48), r));
  return i8x16.narrow_i16x8_u(low, high);
}

/** Four codes; 1.5 * 2^23 has room for a small whole number in its low bits. */
@inline
function fourCodes(bits: i32, doubled: v128, r: v128): v128 {
  const half = <f32>(1 << (bits - 1));
  const shifted = f32x4.add(levels(bits, doubled, r), f32x4.splat(half + 12582912));
  return i32x4.sub(shifted, i32x4.splat(0x4b400000));
}

/**
 * Packs 32 codes, a byte each, into pairs, then fours, then eights, and writes them as `4 * bits`
 * bytes.
 */
@inline
function putPacked(bits: i32, a: v128, b: v128, to: usize): void {
  const a2 = pairs(bits, a);
  const b2 = pairs(bits, b);
  if (bits == 4) {
    v128.store(to, i8x16.narrow_i16x8_u(a2, b2));
    return;
  }
  const a4 = fours(bits, a2);
  const b4 = fours(bits, b2);
  if (bits == 2) {
    const words = i16x8.narrow_i32x4_s(a4, b4);
    v128.store_lane<i64>(to, i8x16.narrow_i16x8_u(words, words), 0);
    return;
  }
  const a8 = v128.or(a4, i64x2.shr_u(a4, 20));
  const b8 = v128.or(b4, i64x2.shr_u(b4, 20));
  const bytes = v128.shuffle<i8>(a8, b8, 0, 1, 2, 8, 9, 10, 16, 17, 18, 24, 25, 26, 0, 0, 0, 0);
  v128.store_lane<i64>(to, bytes, 0);
  v128.store_lane<i32>(to + 8, bytes, 2);
}

@inline
function pairs(bits: i32, codes: v128): v128 {
  const mask = (1 << (2 * bits)) - 1;
  return v128.and(v128.or(codes, i16x8.shr_u(codes, 8 - bits)), i16x8.splat(<i16>mask));
}

@inline
function fours(bits: i32, codes: v128): v128 {
  return v128.and(v128.or(codes, i32x4.shr_u(codes, 16 - 2 * bits)), i32x4.splat((1 << (4 * bits)) - 1));
}
