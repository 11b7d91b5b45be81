// A site's name is proven, or the site is refused.
import { expect, test } from 'vitest';
import { checkAdmission } from './admission.js';

const token = '0123456789abcdef';
const nothing = { certificateNames: undefined, token: undefined };

test.each([
  ['a certificate with the name', { ...nothing, certificateNames: ['hospital', 'site-1'] }, { token }],
  [
    'a certificate with a name that the run has for the site',
    { ...nothing, certificateNames: ['lab.a'] },
    { certificateNames: { 'site-1': ['lab.a'] } },
  ],
  ['the token', { ...nothing, token }, { token }],
  ['nothing, where nothing is asked for', nothing, {}],
])('%s is enough', (_, credentials, rules) => {
  expect(() => checkAdmission('site-1', credentials, rules)).not.toThrow();
});

test.each([
  ['another certificate', { ...nothing, certificateNames: ['site-2'] }, {}, /certificate for site-2/],
  ['another certificate and the token', { certificateNames: ['site-2'], token }, { token }, /certificate for site-2/],
  ['a name within a name', { ...nothing, certificateNames: ['site-11', 'xsite-1'] }, {}, /site-11, xsite-1/],
  [
    'its own name, where the run has another',
    { ...nothing, certificateNames: ['site-1'] },
    { certificateNames: { 'site-1': ['lab.a'] } },
    /for site-1/,
  ],
  [
    'the name of another site',
    { ...nothing, certificateNames: ['lab.b'] },
    { certificateNames: { 'site-2': ['lab.b'] } },
    /certificate for lab.b/,
  ],
  ['a certificate that does not verify', { ...nothing, certificateNames: [] }, {}, /does not verify/],
  ['nothing', nothing, { token }, /neither a certificate nor a token/],
  ['an empty token', { ...nothing, token: '' }, { token }, /is not the one/],
  ['the beginning of the token', { ...nothing, token: token.slice(0, 8) }, { token }, /is not the one/],
  ['the token twice', { ...nothing, token: token + token }, { token }, /is not the one/],
  ['a token of the same length', { ...nothing, token: '0123456789abcdeF' }, { token }, /is not the one/],
])('%s is not', (_, credentials, rules, message) => {
  expect(() => checkAdmission('site-1', credentials, rules)).toThrowError(
    expect.objectContaining({ code: 'refused', message: expect.stringMatching(message) }),
  );
});
