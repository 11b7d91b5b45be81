// XXH3's primes, and its mixing of 64 bits.

export const PRIME32_1: u64 = 0x9e3779b1;
export const PRIME32_2: u64 = 0x85ebca77;
export const PRIME32_3: u64 = 0xc2b2ae3d;
export const PRIME64_1: u64 = 0x9e3779b185ebca87;
export const PRIME64_2: u64 = 0xc2b2ae3d27d4eb4f;
export const PRIME64_3: u64 = 0x165667b19e3779f9;
export const PRIME64_4: u64 = 0x85ebca77c2b2ae63;
export const PRIME64_5: u64 = 0x27d4eb2f165667c5;

@inline
export function avalanche(value: u64): u64 {
  let hash = value ^ (value >> 37);
  hash *= 0x165667919e3779f9;
  return hash ^ (hash >> 32);
}

/** The high half of the 128-bit product, xor its low half. */
export function fold(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >> 32;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >> 32);
  const cross = aLow * bHigh + (middle & 0xffffffff);
  return (aHigh * bHigh + (middle >> 32) + (cross >> 32)) ^ ((cross << 32) | (low & 0xffffffff));
}
