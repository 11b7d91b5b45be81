// Checksums of leaves (XXH3, 64 bits) and the digest over them (XXH3, 128 bits): they find accidents, TLS keeps attackers out.
import { createXXHash128 } from 'hash-wasm';
import { checksumKernel } from './checksum-kernel.js';

/** 8 bytes. */
export const CHECKSUM_BYTES = 8;

let kernel: ((bytes: Uint8Array) => Uint8Array) | undefined;

/** XXH3-64 of a leaf, in the canonical order of bytes. */
export function checksumOf(leaf: Uint8Array): Uint8Array {
  kernel ??= checksumKernel();
  return kernel(leaf);
}

/** XXH3-128, 32 hexadecimal digits. Of little: the checksums of a model's leaves are some kilobytes. */
export async function xxh128(bytes: Uint8Array): Promise<string> {
  const hash = await createXXHash128();
  return hash.init().update(bytes).digest('hex');
}
