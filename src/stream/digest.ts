// Checksums of leaves (xxh3, 64 bits) and the digest over them (xxh3, 128 bits): they find accidents, TLS keeps attackers out.
import { createXXHash3, createXXHash128 } from 'hash-wasm';

/** 8 bytes. */
export const CHECKSUM_BYTES = 8;

/** Checksum of one leaf, in the canonical order of bytes. */
export interface Checksum {
  of(leaf: Uint8Array): Uint8Array;
  /** The same, of a leaf that comes in pieces: `update` with each, then `take`, which begins anew, as `of` does. */
  update(bytes: Uint8Array): void;
  take(): Uint8Array;
}

export async function createChecksum(): Promise<Checksum> {
  const hash = await createXXHash3();
  hash.init();
  const take = (): Uint8Array => {
    const sum = hash.digest('binary');
    hash.init();
    return sum;
  };
  return {
    of(leaf) {
      hash.init().update(leaf);
      return take();
    },
    update: (bytes) => void hash.update(bytes),
    take,
  };
}

/** XXH3-128, 32 hexadecimal digits. */
export async function xxh128(bytes: Uint8Array): Promise<string> {
  const hash = await createXXHash128();
  return hash.init().update(bytes).digest('hex');
}
