// The digest over the checksums of leaves (XXH3-128): it finds accidents; TLS keeps attackers out.
import { createXXHash128 } from 'hash-wasm';

/** Bytes of one checksum (XXH3-64). */
export const CHECKSUM_BYTES = 8;

/**
 * XXH3-128 as 32 hexadecimal digits. The input is small: the checksums of a model's leaves are some
 * kilobytes.
 */
export async function xxh128(bytes: Uint8Array): Promise<string> {
  const hash = await createXXHash128();
  return hash.init().update(bytes).digest('hex');
}
