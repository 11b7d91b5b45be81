// XXH3-64 of up to 240 bytes, in one of four ways by length.
import { secret64, SECRET } from './memory-map';
import { avalanche, fold, PRIME64_1, PRIME64_2, PRIME64_3 } from './mix';

export function short(at: usize, length: usize): u64 {
  if (length > 128) return to240(at, length);
  if (length > 16) return to128(at, length);
  if (length > 8) return to16(at, length);
  if (length >= 4) return to8(at, length);
  if (length > 0) return to3(at, length);
  return avalanche64(secret64(56) ^ secret64(64));
}

function to3(at: usize, length: usize): u64 {
  const first = <u32>load<u8>(at);
  const middle = <u32>load<u8>(at + (length >> 1));
  const last = <u32>load<u8>(at + length - 1);
  const combined: u32 = (first << 16) | (middle << 24) | last | (<u32>length << 8);
  const flip = load<u32>(SECRET) ^ load<u32>(SECRET, 4);
  return avalanche64(<u64>combined ^ <u64>flip);
}

function to8(at: usize, length: usize): u64 {
  const first = <u64>load<u32>(at);
  const last = <u64>load<u32>(at + length - 4);
  let hash = (last + (first << 32)) ^ (secret64(8) ^ secret64(16));
  hash ^= rotl<u64>(hash, 49) ^ rotl<u64>(hash, 24);
  hash *= 0x9fb21c651e98df25;
  hash ^= (hash >> 35) + <u64>length;
  hash *= 0x9fb21c651e98df25;
  return hash ^ (hash >> 28);
}

function to16(at: usize, length: usize): u64 {
  const low = load<u64>(at) ^ (secret64(24) ^ secret64(32));
  const high = load<u64>(at + length - 8) ^ (secret64(40) ^ secret64(48));
  return avalanche(<u64>length + bswap<u64>(low) + high + fold(low, high));
}

function to128(at: usize, length: usize): u64 {
  let hash = <u64>length * PRIME64_1;
  const end = at + length;
  for (let i: i32 = <i32>((length - 1) / 32); i >= 0; i--) {
    hash += mix16(at + <usize>i * 16, <usize>i * 32);
    hash += mix16(end - <usize>(i + 1) * 16, <usize>i * 32 + 16);
  }
  return avalanche(hash);
}

function to240(at: usize, length: usize): u64 {
  let hash = <u64>length * PRIME64_1;
  for (let i: usize = 0; i < 8; i++) hash += mix16(at + i * 16, i * 16);
  hash = avalanche(hash);
  for (let i: usize = 8; i < length / 16; i++) hash += mix16(at + i * 16, (i - 8) * 16 + 3);
  hash += mix16(at + length - 16, 136 - 17);
  return avalanche(hash);
}

@inline
function mix16(at: usize, secret: usize): u64 {
  return fold(load<u64>(at) ^ secret64(secret), load<u64>(at, 8) ^ secret64(secret + 8));
}

/** The avalanche of XXH64. */
@inline
function avalanche64(value: u64): u64 {
  let hash = value ^ (value >> 33);
  hash *= PRIME64_2;
  hash ^= hash >> 29;
  hash *= PRIME64_3;
  return hash ^ (hash >> 32);
}
