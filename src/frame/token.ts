// Tokens: a random secret for each site, and what a server keeps of it (docs/spec/session.md).
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { fromHex, toHex } from '../core/hex.js';
import { tokenKeys } from './proof-keys.js';

/** Bytes of a secret and of every key that is made of it. */
const SECRET_BYTES = 32;
/**
 * Fewer different bytes than this are no random secret: 32 random bytes have about 30, and one
 * secret in 10^22 has fewer than 16.
 */
const LEAST_DIFFERENT_BYTES = 16;

const PREFIX = 'fedstream-token-1';
const TOKEN = new RegExp(`^${PREFIX}:([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([0-9a-f]{${2 * SECRET_BYTES}})$`);

/** A token that was read: the site that it is for, and its secret. */
export interface Token {
  readonly site: string;
  /** 32 random bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

const key = z.string().regex(new RegExp(`^[0-9a-f]{${2 * SECRET_BYTES}}$`), 'must be 64 hexadecimal digits');

/** The schema of what a server keeps of a token. */
export const tokenVerifierSchema = z.strictObject({ storedKey: key, serverKey: key });

/**
 * What a server keeps of a site's token, hexadecimal: enough to check the site's proof and to make
 * its own, and not enough to be the site.
 */
export type TokenVerifier = z.output<typeof tokenVerifierSchema>;

/** Makes a new token for a site, of 32 random bytes. Throws `bad-argument` for a name that is none. */
export function makeToken(site: string): string {
  const text = `${PREFIX}:${site}:${toHex(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)))}`;
  if (TOKEN.test(text)) return text;
  throw new FedStreamError(
    'bad-argument',
    `${JSON.stringify(site)} is no name of a site: 1 to 64 letters, digits, dots, dashes or underscores`,
  );
}

/**
 * Reads a token; `source` begins the message. Throws `bad-argument` for any other text, and for a
 * secret that is not random.
 */
export function parseToken(text: string, source: string): Token {
  const [, site, digits] = TOKEN.exec(text.trim()) ?? [];
  if (site === undefined || digits === undefined)
    throw new FedStreamError(
      'bad-argument',
      `${source} holds no token of one site; make one for each with: fedstream token --site NAME (tokens of other makes, and those that several sites share, are not taken any more)`,
    );
  const secret = fromHex(digits) as Uint8Array<ArrayBuffer>;
  if (new Set(secret).size < LEAST_DIFFERENT_BYTES)
    throw new FedStreamError(
      'bad-argument',
      `${source} holds a token that can be guessed; make a random one with: fedstream token --site ${site}`,
    );
  return { site, secret };
}

/** What a server keeps of a token. Throws `bad-argument` as `parseToken` does. */
export async function tokenVerifier(token: string): Promise<TokenVerifier> {
  const { storedKey, serverKey } = await tokenKeys(parseToken(token, 'this text'));
  return { storedKey: toHex(storedKey), serverKey: toHex(serverKey) };
}
