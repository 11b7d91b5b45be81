// XXH3-64 with seed 0 in plain TypeScript, the reference of the kernel in assembly/checksum.

/**
 * The default secret, `kSecret` of the specification (github.com/Cyan4973/xxHash,
 * doc/xxhash_spec.md).
 */
export const XXH3_SECRET = Uint8Array.from(
  (
    'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221' +
    'b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8' +
    'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb' +
    '170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e'
  ).match(/../g) as string[],
  (pair) => Number.parseInt(pair, 16),
);

const MASK = 0xffff_ffff_ffff_ffffn;
const PRIME32_1 = 0x9e3779b1n;
const PRIME64_1 = 0x9e3779b185ebca87n;
const PRIME64_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME64_3 = 0x165667b19e3779f9n;
const START = [0xc2b2ae3dn, PRIME64_1, PRIME64_2, PRIME64_3, 0x85ebca77c2b2ae63n, 0x85ebca77n, 0x27d4eb2f165667c5n, PRIME32_1] as const;

/** The hash as 8 bytes, most significant first. */
export function xxh3(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hash = bytes.length > 240 ? long(view) : short(view);
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, hash);
  return out;
}

const keys = new DataView(XXH3_SECRET.buffer);
const secret = (at: number): bigint => keys.getBigUint64(at, true);
const times = (a: bigint, b: bigint): bigint => (a * b) & MASK;

function fold(a: bigint, b: bigint): bigint {
  const product = a * b;
  return (product >> 64n) ^ (product & MASK);
}

function avalanche(value: bigint): bigint {
  const hash = times(value ^ (value >> 37n), 0x165667919e3779f9n);
  return hash ^ (hash >> 32n);
}

function avalanche64(value: bigint): bigint {
  let hash = times(value ^ (value >> 33n), PRIME64_2);
  hash = times(hash ^ (hash >> 29n), PRIME64_3);
  return hash ^ (hash >> 32n);
}

function short(view: DataView): bigint {
  const length = view.byteLength;
  if (length > 128) return to240(view, length);
  if (length > 16) return to128(view, length);
  if (length > 8) return to16(view, length);
  if (length >= 4) return to8(view, length);
  return length > 0 ? to3(view, length) : avalanche64(secret(56) ^ secret(64));
}

function to3(view: DataView, length: number): bigint {
  const [first, middle, last] = [view.getUint8(0), view.getUint8(length >> 1), view.getUint8(length - 1)];
  const combined = ((first << 16) | (middle << 24) | last | (length << 8)) >>> 0;
  return avalanche64(BigInt(combined) ^ BigInt((keys.getUint32(0, true) ^ keys.getUint32(4, true)) >>> 0));
}

function to8(view: DataView, length: number): bigint {
  const input = (BigInt(view.getUint32(0, true)) << 32n) + BigInt(view.getUint32(length - 4, true));
  let hash = input ^ secret(8) ^ secret(16);
  const rotated = (by: bigint): bigint => ((hash << by) | (hash >> (64n - by))) & MASK;
  hash ^= rotated(49n) ^ rotated(24n);
  hash = times(hash, 0x9fb21c651e98df25n);
  hash ^= ((hash >> 35n) + BigInt(length)) & MASK;
  hash = times(hash, 0x9fb21c651e98df25n);
  return hash ^ (hash >> 28n);
}

function to16(view: DataView, length: number): bigint {
  const low = view.getBigUint64(0, true) ^ secret(24) ^ secret(32);
  const high = view.getBigUint64(length - 8, true) ^ secret(40) ^ secret(48);
  const swapped = new DataView(new ArrayBuffer(8));
  swapped.setBigUint64(0, low, true);
  return avalanche((BigInt(length) + swapped.getBigUint64(0) + high + fold(low, high)) & MASK);
}

function mix16(view: DataView, at: number, key: number): bigint {
  return fold(view.getBigUint64(at, true) ^ secret(key), view.getBigUint64(at + 8, true) ^ secret(key + 8));
}

function to128(view: DataView, length: number): bigint {
  let hash = times(BigInt(length), PRIME64_1);
  for (let i = Math.floor((length - 1) / 32); i >= 0; i--)
    hash += mix16(view, i * 16, i * 32) + mix16(view, length - (i + 1) * 16, i * 32 + 16);
  return avalanche(hash & MASK);
}

function to240(view: DataView, length: number): bigint {
  let hash = times(BigInt(length), PRIME64_1);
  for (let i = 0; i < 8; i++) hash += mix16(view, i * 16, i * 16);
  hash = avalanche(hash & MASK);
  for (let i = 8; i < Math.floor(length / 16); i++) hash += mix16(view, i * 16, (i - 8) * 16 + 3);
  return avalanche((hash + mix16(view, length - 16, 136 - 17)) & MASK);
}

function long(view: DataView): bigint {
  const length = view.byteLength;
  const acc = [...START] as bigint[];
  const stripe = (at: number, key: number): void => {
    for (let i = 0; i < 8; i++) {
      const data = view.getBigUint64(at + i * 8, true);
      const keyed = data ^ secret(key + i * 8);
      acc[i ^ 1] = ((acc[i ^ 1] as bigint) + data) & MASK;
      acc[i] = ((acc[i] as bigint) + (keyed & 0xffffffffn) * (keyed >> 32n)) & MASK;
    }
  };
  const blocks = Math.floor((length - 1) / 1024);
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < 16; i++) stripe(block * 1024 + i * 64, i * 8);
    for (let i = 0; i < 8; i++) {
      const value = acc[i] as bigint;
      acc[i] = times(value ^ (value >> 47n) ^ secret(128 + i * 8), PRIME32_1);
    }
  }
  const stripes = Math.floor((length - 1 - blocks * 1024) / 64);
  for (let i = 0; i < stripes; i++) stripe(blocks * 1024 + i * 64, i * 8);
  stripe(length - 64, 121);
  let hash = times(BigInt(length), PRIME64_1);
  for (let i = 0; i < 4; i++) hash += fold((acc[2 * i] as bigint) ^ secret(11 + 16 * i), (acc[2 * i + 1] as bigint) ^ secret(19 + 16 * i));
  return avalanche(hash & MASK);
}
