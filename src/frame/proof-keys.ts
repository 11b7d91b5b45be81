// The keys of a token, derived as those of SCRAM (RFC 5802, section 3) with HMAC-SHA-256, and the
// functions that they are made with.
import { FedStreamError } from '../core/errors.js';

/** The keys of one token, 32 bytes each. */
export interface TokenKeys {
  /** Known to the site alone. */
  readonly siteKey: Uint8Array<ArrayBuffer>;
  /** SHA-256 of the site's key: enough to check it. */
  readonly storedKey: Uint8Array<ArrayBuffer>;
  /** The server proves itself with it. */
  readonly serverKey: Uint8Array<ArrayBuffer>;
}

/**
 * Derives the keys. SCRAM salts and stretches a password; a token is 32 random bytes, which need
 * neither. The site's name is part of each key, so that no token is good for another name.
 */
export async function tokenKeys({ site, secret }: { readonly site: string; readonly secret: Uint8Array }): Promise<TokenKeys> {
  const siteKey = await hmac(secret, bytesOf(`fedstream site key 1:${site}`));
  return { siteKey, storedKey: await sha256(siteKey), serverKey: await hmac(secret, bytesOf(`fedstream server key 1:${site}`)) };
}

/** HMAC-SHA-256 of the parts, one after the other. */
export async function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  const imported = await subtle().importKey('raw', Uint8Array.from(key), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await subtle().sign('HMAC', imported, joined(parts)));
}

/** SHA-256. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await subtle().digest('SHA-256', Uint8Array.from(bytes)));
}

/** The bytes of a text, UTF-8. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Compares in constant time, so that the time taken does not tell how much of a guess is right. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let differs = 0;
  for (let i = 0; i < a.length; i++) differs |= (a[i] as number) ^ (b[i] as number);
  return differs === 0;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A page that did not come over TLS (or from this machine) has no cryptography. */
function subtle(): SubtleCrypto {
  if (globalThis.crypto?.subtle) return crypto.subtle;
  throw new FedStreamError('unsupported', 'tokens need cryptography, which a page has over https or on localhost alone; serve it so');
}
