// Admission of sites: a site's name is checked against its certificate, or its token against the
// run's.
import { FedStreamError } from '../core/errors.js';
import type { Credentials } from '../frame/session.js';

/** The credentials that a run requires of its sites, independent of other runs of the same hub. */
export interface AdmissionRules {
  /** The secret of sites without a certificate; undefined where no token is required. */
  readonly token?: string | undefined;
  /**
   * The names in a certificate that stand for a site, by site; by default the site's own name. For
   * runs that share an authority and use the same names for different sites.
   */
  readonly certificateNames?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** Throws `refused` unless the name is proven as the rules require. */
export function checkAdmission(site: string, { certificateNames, token }: Credentials, rules: AdmissionRules): void {
  if (certificateNames !== undefined) {
    const allowed = namesFor(site, rules);
    if (allowed.some((name) => certificateNames.includes(name))) return;
    const owned = certificateNames.length > 0 ? `for ${certificateNames.join(', ')}` : 'that does not verify here';
    throw new FedStreamError('refused', `it calls itself ${site} and shows a certificate ${owned}; give the certificate of ${site}`);
  }
  if (rules.token === undefined) return;
  if (token === undefined)
    throw new FedStreamError('refused', `${site} shows neither a certificate nor a token; give it one of them (--tls-cert, --token-file)`);
  if (!sameText(token, rules.token)) throw new FedStreamError('refused', `the token of ${site} is not the one of this run`);
}

function namesFor(site: string, { certificateNames = {} }: AdmissionRules): readonly string[] {
  return (Object.hasOwn(certificateNames, site) && certificateNames[site]) || [site];
}

/**
 * Compares in constant time, so that the time taken does not reveal how much of a guess is right.
 */
function sameText(a: string, b: string): boolean {
  let differs = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) differs |= (a.charCodeAt(i % a.length) || 0) ^ b.charCodeAt(i);
  return differs === 0;
}
