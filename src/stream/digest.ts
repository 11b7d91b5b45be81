// The digest over the checksums of leaves (XXH3, 128 bits). Both find accidents; TLS keeps attackers out.
import { createXXHash128 } from 'hash-wasm';

/** Of a checksum (XXH3, 64 bits). */
export const CHECKSUM_BYTES = 8;

/** XXH3-128, 32 hexadecimal digits. Of little: the checksums of a model's leaves are some kilobytes. */
export async function xxh128(bytes: Uint8Array): Promise<string> {
  const hash = await createXXHash128();
  return hash.init().update(bytes).digest('hex');
}
