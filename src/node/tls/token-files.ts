// Files of tokens: one for each site, and the server's, which has what it keeps of all of them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { duplicateKey } from '../../core/duplicate-key.js';
import { FedStreamError } from '../../core/errors.js';
import { type SiteCredentials, siteCredentials } from '../../frame/proof.js';
import { makeToken, type TokenVerifier, tokenVerifier, tokenVerifierSchema } from '../../frame/token.js';
import { NAME_PATTERN } from '../../job/job.js';
import { makeSecretFolder, readSecretText, writeSecretText } from './secret-files.js';

const fileSchema = z.strictObject({ version: z.literal(1), sites: z.record(z.string().regex(NAME_PATTERN), tokenVerifierSchema) });

/** What a server keeps of the tokens of its sites, by site. */
export type TokenVerifiers = Readonly<Record<string, TokenVerifier>>;

/** The paths of tokens that were made. */
export interface TokenFiles {
  /** The server's file. */
  readonly verifiers: string;
  /** The file of a site. */
  of(site: string): string;
}

/**
 * Reads the token of a site. Throws `bad-argument` for a file that is no token, is that of another
 * site, or can be read by others; `not-found` or `io` where it cannot be read.
 */
export function readTokenFile(path: string, site: string): SiteCredentials {
  const credentials = siteCredentials(readSecretText(path), path);
  if (credentials.site === site) return credentials;
  throw new FedStreamError('bad-argument', `${path} is the token of ${credentials.site}; give that of ${site}`);
}

/** Reads what a server keeps of tokens; throws as `readTokenFile` does. */
export function readTokenVerifiers(path: string): TokenVerifiers {
  const text = readSecretText(path);
  const wrong = (why: string): FedStreamError =>
    new FedStreamError(
      'bad-argument',
      `${path} is no file of what a server keeps of tokens: ${why}; make one with: fedstream token --site NAME`,
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong('it is not JSON');
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) throw wrong(`it has ${twice} twice`);
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return parsed.data.sites;
  const [issue] = parsed.error.issues;
  throw wrong(`${issue?.path.join('.') || 'its root'}: ${issue?.message}`);
}

/**
 * Makes a token for each site: `<site>.token` in the folder, which only its owner may enter, and
 * what the server keeps of them in the file of verifiers, beside those that it has. Throws
 * `bad-argument` where that has a token of one of the sites already, unless it is to be replaced.
 */
export async function writeTokens(
  folder: string,
  verifiers: string,
  sites: readonly string[],
  { replace = false } = {},
): Promise<TokenFiles> {
  const kept = existsSync(verifiers) ? readTokenVerifiers(verifiers) : {};
  const known = sites.find((site) => Object.hasOwn(kept, site));
  if (known !== undefined && !replace)
    throw new FedStreamError('bad-argument', `${verifiers} has a token of ${known} already; give --replace to make it a new one`);
  makeSecretFolder(folder);
  const of = (site: string): string => join(folder, `${site}.token`);
  const all: Record<string, TokenVerifier> = { ...kept };
  for (const site of sites) {
    const token = makeToken(site);
    all[site] = await tokenVerifier(token);
    writeSecretText(of(site), `${token}\n`);
  }
  writeSecretText(verifiers, `${JSON.stringify({ version: 1, sites: all }, null, 2)}\n`);
  return { verifiers, of };
}

/** The paths of the tokens that a run has in its own folder. */
export function runTokenFiles(runPath: string): TokenFiles {
  const folder = join(runPath, 'tokens');
  return { verifiers: join(folder, 'tokens.json'), of: (site) => join(folder, `${site}.token`) };
}
