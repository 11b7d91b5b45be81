// The certificate of a site that is an aggregator: of an authority of its own, which the others are
// told of over the coordinator, so that nobody has to hand certificates out.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TlsMaterial } from '../drivers/tls.js';
import { makePrivateFolder } from '../storage/private-modes.js';
import { throwawayAuthority } from './throwaway-certificates.js';

/** Certificates last 30 days; one that is older than this is made anew when the site starts. */
const RENEWED_MS = 20 * 86_400_000;

/**
 * The certificate for that host and its authority, kept in the folder; the authority's key is kept
 * nowhere. Rejects with `unsupported` if a package is missing.
 */
export async function swarmCertificate(folder: string, host: string): Promise<Required<Pick<TlsMaterial, 'cert' | 'key' | 'ca'>>> {
  const file = join(folder, 'certificate.json');
  const known = kept(file);
  if (known?.host === host) return known.material;
  const authority = await throwawayAuthority();
  const { cert, key } = await authority.issue(host);
  const material = { cert, key, ca: authority.ca };
  makePrivateFolder(folder);
  writeFileSync(file, JSON.stringify({ host, material }), { mode: 0o600 });
  return material;
}

interface Kept {
  readonly host: string;
  readonly material: { readonly cert: string; readonly key: string; readonly ca: string };
}

function kept(file: string): Kept | undefined {
  try {
    if (Date.now() - statSync(file).mtimeMs > RENEWED_MS) return undefined;
    return JSON.parse(readFileSync(file, 'utf8')) as Kept;
  } catch {
    return undefined; // there is none yet, or it cannot be read: another one is as good
  }
}
