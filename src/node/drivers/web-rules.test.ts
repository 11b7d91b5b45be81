// Hosts and origins: what pages may, and what a name that points to this machine may.
import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { throwawayAuthority } from '../tls/throwaway-certificates.js';
import { WebRules } from './web-rules.js';

const statusOf = (rules: WebRules, host: string | undefined, origin?: string, site?: string): number | undefined =>
  rules.refusal({ host, origin, site })?.status;

test.each([
  ['127.0.0.1:9000', undefined],
  ['[::1]:9000', undefined],
  ['localhost:9000', undefined],
  ['LOCALHOST', undefined],
  ['10.1.2.3', undefined],
  [hostname(), undefined],
  [undefined, undefined],
  ['rebound.example', 421],
  ['rebound.example:9000', 421],
  ['127.0.0.1.rebound.example', 421],
  ['localhost.rebound.example', 421],
  ['', 421],
])('the host %s of a server on loopback: %s', (host, status) => {
  expect(statusOf(new WebRules('127.0.0.1', {}), host)).toBe(status);
});

test('a server goes by the name that it listens at, names it is given, and those in its certificate', async () => {
  const authority = await throwawayAuthority();
  const rules = new WebRules(
    'fed.lab.example',
    { hosts: ['public.example', '*.sites.example'] },
    await authority.issue('in.certificate.example'),
  );
  for (const host of ['fed.lab.example:9000', 'public.example', 'a.sites.example', 'in.certificate.example'])
    expect(statusOf(rules, host)).toBeUndefined();
  for (const host of ['lab.example', 'a.b.sites.example', '.sites.example', 'sites.example']) expect(statusOf(rules, host)).toBe(421);
  expect(rules.refusal({ host: 'other.example:1', origin: undefined })?.why).toContain('--allow-host other.example');
});

test('no page comes in unless its origin is allowed, also one of this machine', () => {
  const rules = new WebRules('127.0.0.1', { origins: ['https://lab.example', 'http://localhost:8080'] });
  for (const origin of ['https://lab.example', 'http://localhost:8080']) expect(statusOf(rules, '127.0.0.1', origin)).toBeUndefined();
  for (const origin of [
    'https://evil.example',
    'http://lab.example',
    'https://lab.example:8443',
    'https://lab.example.evil',
    'null',
    'http://127.0.0.1:9000',
    '',
  ])
    expect(statusOf(rules, '127.0.0.1', origin), origin).toBe(403);
  expect(rules.refusal({ host: '127.0.0.1', origin: 'https://evil.example' })?.why).toContain('--allow-origin https://evil.example');
});

test('a browser that does not tell the origin of a page of another server is refused, and one without a page is not', () => {
  const rules = new WebRules('127.0.0.1', {});
  expect(statusOf(rules, '127.0.0.1', undefined, 'cross-site')).toBe(403);
  expect(statusOf(rules, '127.0.0.1', undefined, 'same-site')).toBe(403);
  expect(statusOf(rules, '127.0.0.1', undefined, 'same-origin')).toBeUndefined();
  expect(statusOf(rules, '127.0.0.1', undefined, 'none')).toBeUndefined();
});

test('what a stranger wrote stands in the log without control characters, and not at any length', () => {
  const why = new WebRules('127.0.0.1', {}).refusal({ host: 'x', origin: `\u001b[2J${'a'.repeat(9_000)}` })?.why ?? '';
  expect(why).not.toMatch(/[^\x20-\x7e]/);
  expect(why.length).toBeLessThan(600);
});

test.each(['lab.example', 'https://lab.example/page', 'null', '*', 'file:///x'])('the origin %s is refused at the start', (origin) => {
  expect(() => new WebRules('127.0.0.1', { origins: [origin] })).toThrow(/is not an origin; write scheme:\/\/host/);
});

test.each(['https://lab.example', 'lab.example:443', 'a/b', ''])('the host %s is refused at the start', (host) => {
  expect(() => new WebRules('127.0.0.1', { hosts: [host] })).toThrow(/is not a host; write a name/);
});
