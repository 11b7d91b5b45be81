// Addresses and networks: what a site is told of each wrong one, and the outages that it bears.

import dns from 'node:dns';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, vi } from 'vitest';
import type { Scheme } from '../../src/driver/scheme.js';
import { makeToken } from '../../src/frame/token.js';
import { type FedStreamServer, fedStreamAt, joining, type Listening, type Program, programAt, SITE } from './listeners.js';
import type { FieldTable } from './situation.js';

interface Address {
  /** What listens; after `later` ms, the second instead of the first. */
  readonly there: FedStreamServer | Program | 'nobody';
  readonly later?: FedStreamServer;
  readonly connect: Scheme;
  readonly host?: string;
  readonly path?: string;
  readonly token?: string;
  readonly retryMs?: number;
  /** The addresses of the host, instead of those that the system knows. */
  readonly resolves?: readonly string[];
}

/** Longer than any mistake may take until it is told. */
const MOST_SECONDS = 8;
const LATER_MS = 500;

function begin(there: FedStreamServer | Program, port = 0): Promise<Listening> {
  return 'scheme' in there ? fedStreamAt({ ...there, port }) : programAt(there, port);
}

/** A `dns.lookup` by which every host has these addresses. */
function resolvingTo(addresses: readonly string[]): typeof dns.lookup {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  const lookup = (_host: string, _options: object, found: (error: null, all: readonly dns.LookupAddress[]) => void): void =>
    void setImmediate(found, null, all);
  return lookup as unknown as typeof dns.lookup;
}

export const NETWORK: FieldTable<Address> = {
  title: 'Addresses and networks',
  intro:
    'A wrong address is told within seconds, with what listens there and what to write; a server that is away is looked for (`--retry`).',
  async run({ there, later, connect, host = 'localhost', path = '', token, retryMs, resolves }, { warn }) {
    let listening = await begin(there === 'nobody' ? { says: '' } : there);
    const { port } = listening;
    if (there === 'nobody') await listening.close();
    const names = resolves && vi.spyOn(dns, 'lookup').mockImplementation(resolvingTo(resolves));
    const beganMs = performance.now();
    const joined = joining({ url: `${connect}://${host}:${port}${path}`, warn, ...(token && { token }), ...(retryMs && { retryMs }) });
    joined.catch(() => {});
    try {
      if (later) {
        await sleep(LATER_MS);
        if (there !== 'nobody') await listening.close();
        listening = await begin(later, port);
      }
      return await joined;
    } finally {
      names?.mockRestore();
      await listening.close();
      expect((performance.now() - beganMs) / 1000).toBeLessThan(MOST_SECONDS);
    }
  },
  rows: [
    {
      name: 'plain text at a TLS port',
      from: 'Flower, gRPC',
      input: { there: { scheme: 'tcps' }, connect: 'tcp' },
      refusal: /that port speaks TLS; write tcps:\/\/localhost:\d+, with --tls-ca/,
      advice: 'The address to write is named: `tcps://…`.',
    },
    {
      name: 'plain text at a TLS port that wants certificates of its sites',
      from: 'NVFlare',
      input: { there: { scheme: 'tcps', needsCertificates: true }, connect: 'tcp' },
      refusal: /that port speaks TLS; write tcps:\/\/localhost:\d+/,
      advice: 'The address to write is named; the site needs its certificate as well.',
    },
    {
      name: 'TLS at a port of plain text',
      from: 'Flower, gRPC',
      input: { there: { scheme: 'tcp' }, connect: 'tcps' },
      refusal: /that port does not speak TLS; write tcp:\/\/localhost:\d+/,
      advice: 'The address to write is named: `tcp://…`.',
    },
    ...(
      [
        ['ws', 'wss'],
        ['http', 'https'],
        ['grpc', 'grpcs'],
      ] as const
    ).flatMap(([plain, secured]) => [
      {
        name: `${plain}:// at a port of ${secured}`,
        from: 'reverse proxies',
        input: { there: { scheme: secured }, connect: plain },
        refusal: new RegExp(`that port speaks TLS; write ${secured}://localhost:\\d+`),
        advice: `The address to write is named: \`${secured}://…\`.`,
      },
      {
        name: `${secured}:// at a port of ${plain}`,
        from: 'reverse proxies',
        input: { there: { scheme: plain }, connect: secured },
        refusal: new RegExp(`that port does not speak TLS; write ${plain}://localhost:\\d+`),
        advice: `The address to write is named: \`${plain}://…\`.`,
      },
    ]),
    ...(
      [
        ['http', 'tcp'],
        ['tcp', 'http'],
        ['ws', 'http'],
        ['http', 'ws'],
        ['tcp', 'grpc'],
        ['grpc', 'http'],
        ['grpc', 'tcp'],
      ] as const
    ).map(([connect, scheme]) => ({
      name: `${connect}:// at a server that listens by ${scheme}`,
      from: 'NVFlare, Flower',
      input: { there: { scheme }, connect },
      refusal: new RegExp(`write ${scheme}://localhost:\\d+`),
      advice: `The scheme of the server is named: \`${scheme}://…\`.`,
    })),
    {
      name: 'wss:// at a server that listens by tcps',
      from: 'NVFlare',
      input: { there: { scheme: 'tcps' }, connect: 'wss' },
      refusal: /listens by tcps; write tcps:\/\/localhost/,
      advice: 'The scheme of the server is named.',
    },
    {
      name: 'another path than the server’s, over WebSocket',
      from: 'reverse proxies',
      input: { there: { scheme: 'ws', path: '/fed' }, connect: 'ws', path: '/federation' },
      refusal: /it listens at another path.*check the path.*404/,
      advice: 'One try; the path of the address must be that of the server.',
    },
    {
      name: 'another path than the server’s, over HTTP',
      from: 'reverse proxies',
      input: { there: { scheme: 'http', path: '/fed' }, connect: 'http' },
      refusal: /it listens at another path.*check the path.*404/,
      advice: 'One try; the path of the address must be that of the server.',
    },
    {
      name: 'a web server on that port',
      from: 'nginx',
      input: { there: { answers: 404 }, connect: 'tcp' },
      refusal: /an HTTP server listens there \(nginx\/1\.24\.0\), which is no FedStream server/,
      advice: 'The program there is named; the port is another one.',
    },
    {
      name: 'a proxy that asks for a login (401)',
      from: 'corporate proxies',
      input: { there: { answers: 401 }, connect: 'wss' },
      refusal: /that port does not speak TLS; write ws:/,
      advice: 'Nothing is tried again; the path must be let through without a login.',
    },
    {
      name: 'a proxy that asks for a login (401), in plain text',
      from: 'corporate proxies',
      input: { there: { answers: 401 }, connect: 'ws' },
      refusal: /it asks for a login that FedStream does not have.*\(HTTP status 401\)$/,
      advice: 'Nothing is tried again; the path must be let through without a login.',
    },
    {
      name: 'a redirect to another address',
      from: 'load balancers',
      input: { there: { answers: 301, headers: { location: 'https://example.org/fed' } }, connect: 'http' },
      refusal: /sends its clients to another address \(HTTP status 301\): https:\/\/example\.org\/fed; write that one/,
      advice: 'FedStream follows none; the address that it names is the one to write.',
    },
    {
      name: 'a captive portal that answers everything with a page',
      from: 'hotel and guest networks',
      input: { there: { answers: 200, body: '<html>Log in</html>' }, connect: 'http' },
      refusal: /it answered 200, not as FedStream does/,
      advice: 'One try; log in to the network first.',
    },
    {
      name: 'an SSH server on that port',
      from: 'a mistyped port',
      input: { there: { says: 'SSH-2.0-OpenSSH_9.6\r\n' }, connect: 'tcps' },
      refusal: /an SSH server \(it says "SSH-2\.0-OpenSSH_9\.6"\) listens there; check host and port/,
      advice: 'The program there is named; the port is another one.',
    },
    {
      name: 'a mail server on that port',
      from: 'a mistyped port',
      input: { there: { says: '220 mail.example.org ESMTP Postfix\r\n' }, connect: 'tcp' },
      refusal: /a mail server \(SMTP\).*listens there; check host and port/,
      advice: 'The program there is named; the port is another one.',
    },
    {
      name: 'a program that says something else',
      from: 'a mistyped port',
      input: { there: { says: 'READY>\r\n' }, connect: 'grpc' },
      refusal: /something that is no FedStream server \(it says "READY>"\) listens there; check host and port/,
      advice: 'What it says is shown; the port is another one.',
    },
    {
      name: 'a certificate for another name',
      from: 'TLS',
      input: { there: { scheme: 'tcps', certificateFor: 'elsewhere.example.org' }, connect: 'tcps' },
      refusal: /its certificate is for another name/,
      advice: 'One try; the certificate must have the host of the address.',
    },
    {
      name: 'a token that the server does not know',
      from: 'sites that were set up twice',
      input: { there: { scheme: 'tcp' }, connect: 'tcp', token: makeToken(SITE) },
      refusal: /does not know the token of this site/,
      advice: 'One try; the token must be the one that the server keeps.',
    },
    {
      name: 'a site that is there before its server',
      from: 'docker compose, systemd',
      input: { there: 'nobody', later: { scheme: 'tcp' }, connect: 'tcp' },
      gives: 'a-run',
      warning: /nobody listens there.*looking for the server for 4 s \(--retry\)/,
      advice: 'The site looks for it, as long as `--retry` says, and joins.',
    },
    ...([502, 503, 504] as const).map((answers) => ({
      name: `a proxy whose server is away (${answers})`,
      from: 'nginx, load balancers',
      input: { there: { answers }, later: { scheme: 'ws' }, connect: 'ws' } as const,
      gives: 'a-run',
      warning: new RegExp(`a proxy is there, and its server .*\\(HTTP status ${answers}\\); looking for the server`),
      advice: 'An outage: the site looks for the server until it is there.',
    })),
    {
      name: 'a server that never comes',
      from: 'a server that was switched off',
      input: { there: 'nobody', connect: 'tcp', retryMs: 1000 },
      refusal: /nobody listens there.*the server was looked for in vain for 1 s \(--retry/,
      advice: 'The search ends after `--retry`, with exit code 1 and the last reason.',
    },
    {
      name: 'a name with addresses of IPv6 and IPv4, of which the server has IPv4',
      from: 'Node, gRPC',
      input: { there: { scheme: 'tcp', host: '127.0.0.1' }, connect: 'tcp', host: 'two.example.org', resolves: ['::1', '127.0.0.1'] },
      gives: 'a-run',
      advice: 'Each address is tried, until one answers.',
    },
    {
      name: 'a name with addresses of IPv6 and IPv4, of which the server has IPv6',
      from: 'Node, gRPC',
      input: { there: { scheme: 'tcp', host: '[::1]' }, connect: 'tcp', host: 'two.example.org', resolves: ['127.0.0.1', '::1'] },
      gives: 'a-run',
      advice: 'Each address is tried, until one answers.',
    },
  ],
};
