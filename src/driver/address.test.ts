// Addresses are parsed, or refused with an example.
import { expect, test } from 'vitest';
import { addressUrl, parseAddress } from './address.js';

const WEB = { defaultPort: 443, path: true };

test.each([
  ['tcp://127.0.0.1:9000', 'tcp', {}, { host: '127.0.0.1', port: 9000, path: '' }],
  ['tcp://[::1]:0/', 'tcp', {}, { host: '::1', port: 0, path: '' }],
  ['wss://example.org/fed/', 'wss', WEB, { host: 'example.org', port: 443, path: '/fed' }],
  ['wss://example.org:8443', 'wss', WEB, { host: 'example.org', port: 8443, path: '' }],
])('%s', (url, scheme, rules, expected) => {
  expect(parseAddress(url, scheme, rules)).toMatchObject(expected);
});

test.each([
  ['tcp://127.0.0.1'],
  ['tcp://127.0.0.1:70000'],
  ['tcps://127.0.0.1:1'],
  ['tcp://host:1/path'],
  ['tcp://user@host:1'],
  ['tcp://host:1?x'],
  ['tcp://:1'],
  ['tcp://a b:1'],
])('%s is no tcp address', (url) => {
  expect(() => parseAddress(url, 'tcp')).toThrowError(
    expect.objectContaining({ code: 'bad-argument', message: expect.stringContaining('tcp://127') }),
  );
});

test('an address with its real port', () => {
  expect(addressUrl('tcp', parseAddress('tcp://[::1]:0', 'tcp'), 1234)).toBe('tcp://[::1]:1234');
  expect(addressUrl('ws', parseAddress('ws://h:0/fed', 'ws', WEB), 80)).toBe('ws://h:80/fed');
});
