// A site connects to the aggregators that its owner allows, and to no other address.
import { expect, test } from 'vitest';
import { checkAllowed } from './allowed.js';

test.each([
  ['tcp://hospital-b.example.org:9100', ['hospital-b.example.org']],
  ['tcps://Hospital-B.example.org:9100', ['hospital-b.example.org:9100']],
  ['tcp://[::1]:9100', ['::1']],
  ['uds:///run/swarm/b.sock', ['uds:///run/swarm/b.sock']],
  ['wss://b.example.org/fed', ['a.example.org', 'b.example.org']],
])('%s is allowed by %j', (url, allow) => {
  expect(() => checkAllowed(url, 'b', allow)).not.toThrow();
});

test.each([
  ['tcp://hospital-b.example.org:9100', [], /swarm\.allow: b is the aggregator at tcp.*the list is empty/],
  ['tcp://hospital-b.example.org:9100', ['hospital-a.example.org'], /listed are hospital-a/],
  ['tcp://hospital-b.example.org:9101', ['hospital-b.example.org:9100'], /swarm\.allow/],
  ['tcp://hospital-b.example.org.evil.net:9100', ['hospital-b.example.org'], /swarm\.allow/],
  ['tcp://xhospital-b.example.org:9100', ['hospital-b.example.org'], /swarm\.allow/],
  ['uds:///run/other.sock', ['localhost'], /swarm\.allow/],
  ['tcp://:9100', ['hospital-b'], /no address/],
])('%s is refused by %j', (url, allow, message) => {
  expect(() => checkAllowed(url, 'b', allow)).toThrow(message);
});
