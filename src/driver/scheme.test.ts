// Addresses whose traffic others on the network could read.
import { expect, test } from 'vitest';
import { isExposed, isSecured } from './scheme.js';

test.each([
  ['tcp://127.0.0.1:9000', false],
  ['tcp://127.8.9.1:9000', false],
  ['tcp://localhost:9000', false],
  ['ws://[::1]:9000/fed', false],
  ['uds:///run/fedstream.sock', false],
  ['memory://suite', false],
  ['tcps://0.0.0.0:9000', false],
  ['grpcs://example.org:443', false],
  ['tcp://0.0.0.0:9000', true],
  ['http://example.org/fed', true],
  ['grpc://[::]:9000', true],
  ['ws://127.0.0.1.example.org:80', true],
  ['tcp://1270.0.0.1:1', true],
  ['tcp://localhost.example.org:1', true],
])('%s can be read by others: %s', (url, exposed) => {
  expect(isExposed(url)).toBe(exposed);
});

test('TLS is in the scheme', () => {
  expect(['tcps', 'wss', 'https', 'grpcs'].every((scheme) => isSecured(`${scheme}://x:1`))).toBe(true);
  expect(['tcp', 'uds', 'ws', 'http', 'grpc'].some((scheme) => isSecured(`${scheme}://x:1`))).toBe(false);
});
