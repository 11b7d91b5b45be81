// Proofs of a token: each side shows the other that it knows the token, without sending it
// (docs/spec/session.md).
import { FedStreamError } from '../core/errors.js';
import { fromHex, toHex } from '../core/hex.js';
import { bytesOf, hmac, sameBytes, sha256, tokenKeys } from './proof-keys.js';
import { parseToken, type TokenVerifier } from './token.js';

/** Bytes of a proof. */
export const PROOF_BYTES = 32;
/** Bytes of the random part of a hello. */
export const NONCE_BYTES = 32;

/** One side of a proof. Every promise rejects with `unsupported` where there is no cryptography. */
export interface Prover {
  /** Makes this side's proof for a transcript (`transcriptOf`), `PROOF_BYTES` long. */
  prove(transcript: Uint8Array): Promise<Uint8Array>;
  /** True if the other side's proof is right; takes the same time if it is not. */
  verify(transcript: Uint8Array, proof: Uint8Array): Promise<boolean>;
}

/** The credentials of a site that proves its name with a token. */
export interface SiteCredentials extends Prover {
  /** The only name that they prove. */
  readonly site: string;
}

const SITE = bytesOf('site proof:');
const SERVER = bytesOf('server proof:');

/**
 * The credentials of a site, of the text of its token; `source` names it in messages. Throws
 * `bad-argument` for a text that is no token.
 */
export function siteCredentials(token: string, source = 'this text'): SiteCredentials {
  const read = parseToken(token, source);
  // Derived once, when the first session asks: reconnects need no more.
  let derived: ReturnType<typeof tokenKeys> | undefined;
  const keys = () => {
    derived ??= tokenKeys(read);
    return derived;
  };
  return {
    site: read.site,
    async prove(transcript) {
      const { siteKey, storedKey } = await keys();
      return xor(siteKey, await hmac(storedKey, SITE, transcript));
    },
    async verify(transcript, proof) {
      const { serverKey } = await keys();
      return sameBytes(await hmac(serverKey, SERVER, transcript), proof);
    },
  };
}

/** The server's side, of what it keeps of a token. */
export function serverProver(verifier: TokenVerifier): Prover {
  const [storedKey, serverKey] = [keyOf(verifier.storedKey), keyOf(verifier.serverKey)];
  return {
    prove: (transcript) => hmac(serverKey, SERVER, transcript),
    async verify(transcript, proof) {
      if (proof.length !== PROOF_BYTES) return false;
      return sameBytes(await sha256(xor(proof, await hmac(storedKey, SITE, transcript))), storedKey);
    },
  };
}

/**
 * What a server uses for a name that has no token: to a stranger it looks like any other, and no
 * proof is right. It follows from the server's own secret and the name, so that asking twice tells
 * nothing (RFC 5802, section 7, does so with its salts).
 */
export async function decoyVerifier(secret: Uint8Array, name: string): Promise<TokenVerifier> {
  const key = async (what: Uint8Array) => toHex(await hmac(secret, what, bytesOf(name)));
  return { storedKey: await key(SITE), serverKey: await key(SERVER) };
}

/**
 * The text that proofs are bound to: both hellos as they were sent, and so the names, the run, the
 * versions, the features, and the nonce of each side.
 */
export function transcriptOf(siteHello: Uint8Array, serverHello: Uint8Array): Uint8Array {
  const label = bytesOf('fedstream session 1');
  const all = new Uint8Array(label.length + 8 + siteHello.length + serverHello.length);
  const view = new DataView(all.buffer);
  all.set(label);
  let at = label.length;
  for (const hello of [siteHello, serverHello]) {
    view.setUint32(at, hello.length, true);
    all.set(hello, at + 4);
    at += 4 + hello.length;
  }
  return all;
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(a, (byte, i) => byte ^ (b[i] as number));
}

function keyOf(digits: string): Uint8Array {
  const key = fromHex(digits);
  if (key?.length === PROOF_BYTES) return key;
  throw new FedStreamError('bad-argument', 'a key of a token has 64 hexadecimal digits');
}
