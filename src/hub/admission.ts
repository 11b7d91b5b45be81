// Whether a site is who it says: its name against its certificate, or its token against the run's.
import { FedStreamError } from '../core/errors.js';
import type { Shown } from '../frame/session.js';

export interface AdmissionRules {
  /** What a site without a certificate must show; undefined where none is asked for. */
  readonly token?: string | undefined;
}

/** `refused` unless the name is proven as the rules want it. */
export function checkAdmission(site: string, { certificateNames, token }: Shown, rules: AdmissionRules): void {
  if (certificateNames !== undefined) {
    if (certificateNames.includes(site)) return;
    const owned = certificateNames.length > 0 ? `for ${certificateNames.join(', ')}` : 'that does not verify here';
    throw new FedStreamError('refused', `it calls itself ${site} and shows a certificate ${owned}; give the certificate of ${site}`);
  }
  if (rules.token === undefined) return;
  if (token === undefined)
    throw new FedStreamError('refused', `${site} shows neither a certificate nor a token; give it one of them (--tls-cert, --token-file)`);
  if (!sameText(token, rules.token)) throw new FedStreamError('refused', `the token of ${site} is not the one of this run`);
}

/** Takes as long for a nearly right guess as for a wrong one. */
function sameText(a: string, b: string): boolean {
  let differs = a.length ^ b.length;
  for (let i = 0; i < b.length; i++) differs |= (a.charCodeAt(i % a.length) || 0) ^ b.charCodeAt(i);
  return differs === 0;
}
