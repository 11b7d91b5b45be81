// Admission of sites: a site's name is checked against its certificate, or against what its run
// keeps of its token.
import { FedStreamError } from '../core/errors.js';
import { decoyVerifier, serverProver } from '../frame/proof.js';
import type { Credentials } from '../frame/session.js';
import type { TokenVerifier } from '../frame/token.js';

/** The credentials that a run requires of its sites, independent of other runs of the same hub. */
export interface AdmissionRules {
  /**
   * What the run keeps of the token of each site that has one (`tokenVerifier`). Other sites need a
   * certificate.
   */
  readonly tokens?: Readonly<Record<string, TokenVerifier>> | undefined;
  /**
   * The names in a certificate that stand for a site, by site; by default the site's own name. For
   * runs that share an authority and use the same names for different sites.
   */
  readonly certificateNames?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** A peer that has said hello, and wants to be admitted. */
export interface Applicant {
  readonly site: string;
  readonly run: string | undefined;
  readonly credentials: Credentials;
  /** True if it is in this very process (`memory://`), where there is nobody else to keep out. */
  readonly inProcess: boolean;
}

/** All that a stranger is told, whatever the reason: the reason tells names, and goes to the log. */
const TOLD =
  'the site is not admitted: its name, its run (--run) and its certificate or token must be those that the server knows; the log of the server has the reason';

/** The error for a peer that is not admitted. Its cause has the reason, for the log. */
export function refusal(reason: string): FedStreamError {
  return new FedStreamError('refused', TOLD, { cause: new FedStreamError('refused', reason) });
}

/** The reason of a refusal; undefined for any other error. */
export function reasonOf(error: unknown): string | undefined {
  return error instanceof FedStreamError && error.message === TOLD ? (error.cause as FedStreamError).message : undefined;
}

/** How a site has proven its name. A session gives way only to one of the same site and identity. */
export type Identity = string;

/**
 * Proves the name of a site as the rules of its run require, and resolves with the identity;
 * undefined for a site of this process without credentials. Rejects with a refusal, or with the
 * error of a peer that leaves or breaks the protocol meanwhile.
 *
 * `rules` are undefined for a run that does not exist. A peer that has a token takes part in the
 * same exchange whether or not its name, its run and the token exist; `secret` makes the verifier
 * of names that have none.
 */
export async function identityOf(
  applicant: Applicant,
  rules: AdmissionRules | undefined,
  secret: Uint8Array,
): Promise<Identity | undefined> {
  const { site, credentials, inProcess } = applicant;
  const { tokens = {} } = rules ?? {};
  const verifier = Object.hasOwn(tokens, site) ? tokens[site] : undefined;
  let proven = false;
  if (credentials.prove) {
    const decoy = await decoyVerifier(secret, site);
    proven = (await credentials.prove(serverProver(verifier ?? decoy))) && verifier !== undefined;
    if (!proven)
      throw refusal(verifier ? `the token of ${site} is not the one that is kept of it` : `${site} has no token here, and shows one`);
  }
  if (credentials.certificateNames !== undefined) return certified(site, credentials.certificateNames, rules);
  if (verifier && proven) return `token ${verifier.storedKey}`;
  if (inProcess && rules?.tokens === undefined) return undefined;
  throw refusal(`${site} shows neither a certificate nor a token; give it one of them (--tls-cert, --token-file)`);
}

function certified(site: string, names: readonly string[], rules: AdmissionRules | undefined): Identity {
  const name = namesFor(site, rules).find((allowed) => names.includes(allowed));
  if (name !== undefined) return `certificate ${name}`;
  const owned = names.length > 0 ? `for ${names.join(', ')}` : 'that does not verify here';
  throw refusal(`it calls itself ${site} and shows a certificate ${owned}; give the certificate of ${site}`);
}

function namesFor(site: string, { certificateNames = {} }: AdmissionRules = {}): readonly string[] {
  return (Object.hasOwn(certificateNames, site) && certificateNames[site]) || [site];
}
