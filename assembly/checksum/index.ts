// XXH3-64 with seed 0 and the default secret, in SIMD for long inputs.
import { ACC, RESULT, secret64, SECRET, SECRET_BYTES, STAGE } from './memory-map';
import { avalanche, fold, PRIME32_1, PRIME32_2, PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME64_5 } from './mix';
import { short } from './short';

const STRIPE_BYTES: usize = 64;
/**
 * Bytes of a block (github.com/Cyan4973/xxHash, doc/xxhash_spec.md): the secret moves by 8 bytes
 * with each stripe; after 16 stripes the lanes are scrambled.
 */
const BLOCK_BYTES: usize = 1024;

/** Begins an input of more than 240 bytes. */
export function begin(): void {
  store<u64>(ACC, PRIME32_3);
  store<u64>(ACC, PRIME64_1, 8);
  store<u64>(ACC, PRIME64_2, 16);
  store<u64>(ACC, PRIME64_3, 24);
  store<u64>(ACC, PRIME64_4, 32);
  store<u64>(ACC, PRIME32_2, 40);
  store<u64>(ACC, PRIME64_5, 48);
  store<u64>(ACC, PRIME32_1, 56);
}

/**
 * Hashes whole blocks at the stage, behind which more bytes follow. Their last 64 bytes are kept in
 * front of the stage, for the last stripe.
 */
export function blocks(count: i32): void {
  for (let i = 0; i < count; i++) block(STAGE + <usize>i * BLOCK_BYTES);
  const end = STAGE + <usize>count * BLOCK_BYTES;
  memory.copy(STAGE - STRIPE_BYTES, end - STRIPE_BYTES, STRIPE_BYTES);
}

/** Hashes whole blocks at any address, behind which more bytes follow. */
export function blocksAt(from: usize, count: i32): void {
  for (let i = 0; i < count; i++) block(from + <usize>i * BLOCK_BYTES);
}

/**
 * Hashes the last bytes, at least one, of an input of more than 240 in all. They lie at the stage,
 * or wherever the whole input lies.
 */
export function finish(from: usize, rest: i32, total: f64): void {
  const length = <usize>rest;
  const whole = (length - 1) / BLOCK_BYTES;
  for (let i: usize = 0; i < whole; i++) block(from + i * BLOCK_BYTES);
  const stripes = (length - 1 - whole * BLOCK_BYTES) / STRIPE_BYTES;
  let at = from + whole * BLOCK_BYTES;
  for (let i: usize = 0; i < stripes; i++) {
    stripe(at, SECRET + i * 8);
    at += STRIPE_BYTES;
  }
  stripe(from + length - STRIPE_BYTES, SECRET + SECRET_BYTES - STRIPE_BYTES - 7);
  let hash = <u64>total * PRIME64_1;
  for (let i: usize = 0; i < 4; i++) {
    const lane = ACC + i * 16;
    hash += fold(load<u64>(lane) ^ secret64(11 + i * 16), load<u64>(lane, 8) ^ secret64(11 + i * 16 + 8));
  }
  result(avalanche(hash));
}

/** Hashes at most 240 bytes at the stage. */
export function shortHash(length: i32): void {
  result(short(STAGE, <usize>length));
}

/** Stores the hash in the canonical order of bytes: most significant first. */
@inline
function result(hash: u64): void {
  store<u64>(RESULT, bswap<u64>(hash));
}

/**
 * Hashes one block. The products of two vectors are found together, so that their halves are
 * gathered with half the shuffles.
 */
@inline
function block(from: usize): void {
  let a0 = v128.load(ACC);
  let a1 = v128.load(ACC, 16);
  let a2 = v128.load(ACC, 32);
  let a3 = v128.load(ACC, 48);
  for (let i: usize = 0; i < 16; i++) {
    const at = from + i * STRIPE_BYTES;
    const key = SECRET + i * 8;
    const d0 = v128.load(at);
    const d1 = v128.load(at, 16);
    const k0 = v128.xor(d0, v128.load(key));
    const k1 = v128.xor(d1, v128.load(key, 16));
    const low01 = lows(k0, k1);
    const high01 = highs(k0, k1);
    a0 = i64x2.add(i64x2.add(a0, swapped(d0)), i64x2.extmul_low_i32x4_u(low01, high01));
    a1 = i64x2.add(i64x2.add(a1, swapped(d1)), i64x2.extmul_high_i32x4_u(low01, high01));
    const d2 = v128.load(at, 32);
    const d3 = v128.load(at, 48);
    const k2 = v128.xor(d2, v128.load(key, 32));
    const k3 = v128.xor(d3, v128.load(key, 48));
    const low23 = lows(k2, k3);
    const high23 = highs(k2, k3);
    a2 = i64x2.add(i64x2.add(a2, swapped(d2)), i64x2.extmul_low_i32x4_u(low23, high23));
    a3 = i64x2.add(i64x2.add(a3, swapped(d3)), i64x2.extmul_high_i32x4_u(low23, high23));
  }
  const key = SECRET + SECRET_BYTES - STRIPE_BYTES;
  v128.store(ACC, scramble(a0, v128.load(key)));
  v128.store(ACC, scramble(a1, v128.load(key, 16)), 16);
  v128.store(ACC, scramble(a2, v128.load(key, 32)), 32);
  v128.store(ACC, scramble(a3, v128.load(key, 48)), 48);
}

/** The lower halves of four lanes. */
@inline
function lows(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
}

/** The upper halves of four lanes. */
@inline
function highs(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 1, 3, 5, 7);
}

@inline
function swapped(a: v128): v128 {
  return v128.shuffle<i64>(a, a, 1, 0);
}

@inline
function stripe(at: usize, key: usize): void {
  v128.store(ACC, lane(v128.load(ACC), v128.load(at), v128.load(key)));
  v128.store(ACC, lane(v128.load(ACC, 16), v128.load(at, 16), v128.load(key, 16)), 16);
  v128.store(ACC, lane(v128.load(ACC, 32), v128.load(at, 32), v128.load(key, 32)), 32);
  v128.store(ACC, lane(v128.load(ACC, 48), v128.load(at, 48), v128.load(key, 48)), 48);
}

/**
 * Adds to two lanes: each gets the product of the halves of data ^ secret, and its neighbour the
 * data.
 */
@inline
function lane(acc: v128, data: v128, secret: v128): v128 {
  const key = v128.xor(data, secret);
  const low = v128.shuffle<i32>(key, key, 0, 2, 0, 2);
  const high = v128.shuffle<i32>(key, key, 1, 3, 1, 3);
  return i64x2.add(i64x2.add(acc, swapped(data)), i64x2.extmul_low_i32x4_u(low, high));
}

@inline
function scramble(acc: v128, secret: v128): v128 {
  const mixed = v128.xor(v128.xor(acc, i64x2.shr_u(acc, 47)), secret);
  return i64x2.mul(mixed, i64x2.splat(<i64>PRIME32_1));
}
