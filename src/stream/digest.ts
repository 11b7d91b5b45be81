// Checksums of chunks (xxh3, 64 bits) and digests of whole streams (xxh3, 128 bits): they find accidents, TLS keeps attackers out.
import { createXXHash3, createXXHash128 } from 'hash-wasm';

/** 8 bytes. */
export const CHECKSUM_BYTES = 8;

/** Checksum of one chunk, into the front of `into`. */
export interface Checksum {
  of(chunk: Uint8Array): Uint8Array;
}

/** Digest of all that was given, in order. */
export interface Digest {
  update(bytes: Uint8Array): void;
  /** 32 hexadecimal digits. Ends the digest. */
  finish(): string;
}

export async function createChecksum(): Promise<Checksum> {
  const hash = await createXXHash3();
  return { of: (chunk) => hash.init().update(chunk).digest('binary') };
}

export async function createDigest(): Promise<Digest> {
  const hash = await createXXHash128();
  hash.init();
  return { update: (bytes) => void hash.update(bytes), finish: () => hash.digest('hex') };
}
