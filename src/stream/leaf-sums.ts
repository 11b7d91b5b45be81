// The checksums of an object's leaves, and the digest made of them (docs/spec/stream.md).
import { CHECKSUM_BYTES, xxh128 } from './digest.js';
import { checksumOf, hashedMemory } from './hashed-memory.js';

/**
 * Bytes of a leaf. An object is cut into leaves, the last one short: a leaf is verified as a whole,
 * and a transfer resumes at the beginning of one. 1 MiB is the fastest size on the reference
 * machine.
 */
export const LEAF_BYTES = 1024 * 1024;

/** Number of leaves of an object of `totalBytes` bytes. */
export function leafCount(totalBytes: number): number {
  return Math.ceil(totalBytes / LEAF_BYTES);
}

/** Checksums of the first leaves of an object, in order: 8 bytes a MiB. */
export class LeafSums {
  #bytes: Uint8Array;
  #count: number;

  /** Copies the bytes of another `LeafSums`; bytes behind the last whole checksum are ignored. */
  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#count = Math.floor(bytes.length / CHECKSUM_BYTES);
    this.#bytes = bytes.slice(0, this.#count * CHECKSUM_BYTES);
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * CHECKSUM_BYTES);
  }

  at(leaf: number): Uint8Array {
    return this.#bytes.subarray(leaf * CHECKSUM_BYTES, (leaf + 1) * CHECKSUM_BYTES);
  }

  matches(leaf: number, sum: Uint8Array): boolean {
    return leaf < this.#count && sameBytes(this.at(leaf), sum);
  }

  push(sum: Uint8Array): void {
    const at = this.#count * CHECKSUM_BYTES;
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(Math.max(16 * CHECKSUM_BYTES, 2 * at));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(sum, at);
    this.#count++;
  }

  /** Forgets all but the first `count`. */
  keep(count: number): void {
    this.#count = Math.min(this.#count, count);
  }

  /** The digest of the object whose leaves these are: XXH3-128 of their checksums, concatenated. */
  digest(): Promise<string> {
    return xxh128(this.bytes);
  }
}

/** Makes the checksums of an object that arrives in pieces of any size. */
export class LeafHasher {
  readonly #sums: LeafSums;
  /** A leaf that arrives in several pieces is assembled here. */
  #leaf: Uint8Array | undefined;
  #filled = 0;

  /** Adds the checksums to `sums` as its leaves become whole. */
  constructor(sums = new LeafSums()) {
    this.#sums = sums;
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + LEAF_BYTES - this.#filled);
      at += part.length;
      if (part.length === LEAF_BYTES) {
        this.#sums.push(checksumOf(part));
        continue;
      }
      this.#leaf ??= hashedMemory(1)(LEAF_BYTES);
      this.#leaf.set(part, this.#filled);
      this.#filled += part.length;
      if (this.#filled === LEAF_BYTES) this.#endLeaf();
    }
  }

  /** The checksums of all bytes so far. */
  finish(): LeafSums {
    if (this.#filled > 0) this.#endLeaf();
    return this.#sums;
  }

  #endLeaf(): void {
    this.#sums.push(checksumOf((this.#leaf as Uint8Array).subarray(0, this.#filled)));
    this.#filled = 0;
  }
}

/** The digest of bytes in memory, 32 hexadecimal digits. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const hasher = new LeafHasher();
  hasher.update(bytes);
  return hasher.finish().digest();
}

/** True if both have the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
