// A site's name is proven, or the site is refused, and a stranger hears nothing of the reason.
import { expect, test } from 'vitest';
import { type Prover, siteCredentials, transcriptOf } from '../frame/proof.js';
import { makeToken, type TokenVerifier, tokenVerifier } from '../frame/token.js';
import { type AdmissionRules, type Applicant, identityOf, reasonOf } from './admission.js';

const secret = new Uint8Array(32);
const transcript = transcriptOf(Uint8Array.of(1), Uint8Array.of(2));
const tokens: Record<string, string> = { 'site-1': makeToken('site-1'), 'site-2': makeToken('site-2') };
const verifiers: Record<string, TokenVerifier> = {};
for (const [site, token] of Object.entries(tokens)) verifiers[site] = await tokenVerifier(token);

interface Shown {
  readonly certificateNames?: readonly string[];
  readonly token?: string;
  readonly site?: string;
  readonly inProcess?: boolean;
}

function applicant({ certificateNames, token, site = 'site-1', inProcess = false }: Shown): Applicant {
  const prove =
    token === undefined ? undefined : async (prover: Prover) => prover.verify(transcript, await siteCredentials(token).prove(transcript));
  return { site, run: undefined, inProcess, credentials: { certificateNames, prove, stall: async () => {} } };
}

test.each<[string, Shown, AdmissionRules, string | undefined]>([
  ['a certificate with the name', { certificateNames: ['hospital', 'site-1'] }, { tokens: verifiers }, 'certificate site-1'],
  [
    'a certificate with a name that the run has for the site',
    { certificateNames: ['lab.a'] },
    { certificateNames: { 'site-1': ['lab.a'] } },
    'certificate lab.a',
  ],
  ['the token of the site', { token: tokens['site-1'] as string }, { tokens: verifiers }, `token ${verifiers['site-1']?.storedKey}`],
  ['nothing, in this process, where nothing is asked for', { inProcess: true }, {}, undefined],
])('%s is enough', async (_, shown, rules, identity) => {
  expect(await identityOf(applicant(shown), rules, secret)).toBe(identity);
});

test.each<[string, Shown, AdmissionRules | undefined, RegExp]>([
  ['another certificate', { certificateNames: ['site-2'] }, {}, /certificate for site-2/],
  [
    'another certificate and the token',
    { certificateNames: ['site-2'], token: tokens['site-1'] as string },
    { tokens: verifiers },
    /certificate for site-2/,
  ],
  ['a name within a name', { certificateNames: ['site-11', 'xsite-1'] }, {}, /site-11, xsite-1/],
  [
    'its own name, where the run has another',
    { certificateNames: ['site-1'] },
    { certificateNames: { 'site-1': ['lab.a'] } },
    /for site-1/,
  ],
  ['the name of another site', { certificateNames: ['lab.b'] }, { certificateNames: { 'site-2': ['lab.b'] } }, /certificate for lab.b/],
  ['a certificate that does not verify', { certificateNames: [] }, {}, /does not verify/],
  ['nothing', {}, { tokens: verifiers }, /neither a certificate nor a token/],
  ['nothing, over a socket, where no rule is given', {}, {}, /neither a certificate nor a token/],
  ['nothing, in this process, where tokens are asked for', { inProcess: true }, { tokens: verifiers }, /neither a certificate nor a token/],
  ['the token of another site', { token: tokens['site-2'] as string }, { tokens: verifiers }, /token of site-1 is not the one/],
  ['a new token of the site', { token: makeToken('site-1') }, { tokens: verifiers }, /token of site-1 is not the one/],
  ['a token, and none is kept of it', { token: makeToken('site-3'), site: 'site-3' }, { tokens: verifiers }, /site-3 has no token here/],
  [
    'a token that would be a property of every object',
    { token: makeToken('constructor'), site: 'constructor' },
    { tokens: {} },
    /no token here/,
  ],
  ['a token, where all have certificates', { token: tokens['site-1'] as string }, {}, /site-1 has no token here/],
  ['the token, in a run that there is not', { token: tokens['site-1'] as string }, undefined, /site-1 has no token here/],
  [
    'a certificate and a wrong token',
    { certificateNames: ['site-1'], token: makeToken('site-1') },
    { tokens: verifiers },
    /is not the one/,
  ],
])('%s is not', async (_, shown, rules, reason) => {
  const error = await identityOf(applicant(shown), rules, secret).catch((failure: unknown) => failure);
  expect(error).toMatchObject({ code: 'refused' });
  expect(reasonOf(error)).toMatch(reason);
  expect((error as Error).message).not.toMatch(/site-|lab|xsite/);
});
