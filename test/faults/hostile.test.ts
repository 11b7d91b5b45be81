// Peers that are no sites: the server logs one clear line for each and ends it, and after ten
// thousand of them it still serves, in the same memory.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { encodeFrame } from '../../src/frame/frame.js';
import { throwawayAuthority, writeThrowawayCertificates } from '../../src/node/tls/throwaway-certificates.js';
import { breadth } from '../breadth.js';
import { finishByHand, jobFile, modelOf, run, start, tokenOf, workFolder } from '../e2e/command.js';
import { type BadPeer, drips, framed, HTTP_REQUEST, hello, noise, TLS_HELLO, writes, writesInTls } from './bad-peers.js';

const folder = workFolder();
const DAY_MS = 86_400_000;
const IDLE_MS = 1_500;
let job = '';
let tls: (name: string) => string[];
const certificates: Record<string, { cert: string; key: string }> = {};

beforeAll(async () => {
  job = jobFile(folder, { idleMs: IDLE_MS });
  const { code, stderr } = await run(['simulate', '--job', job, '--name', 'first'], folder);
  expect(code, stderr).toBe(0);
  const files = await writeThrowawayCertificates(join(folder, 'certificates'), ['site-1', 'site-2']);
  tls = (name) => ['--tls-cert', files(name).cert, '--tls-key', files(name).key, '--tls-ca', files(name).ca];
  const untrusted = await throwawayAuthority('somebody else');
  certificates.untrusted = await untrusted.issue('site-1');
  const read = (name: string) => ({ cert: readFileSync(files(name).cert, 'utf8'), key: readFileSync(files(name).key, 'utf8') });
  certificates.right = read('site-2');
});

interface LogLine {
  readonly level: string;
  readonly peer?: string;
  readonly msg: string;
}

/** A server that waits for its sites, with its warnings and its memory. */
async function serving(name: string, scheme: string) {
  const secure = ['tcps', 'wss', 'https', 'grpcs'].includes(scheme) ? tls('localhost') : [];
  const started = start(['server', '--job', job, '--name', name, '--listen', `${scheme}://127.0.0.1:0`, ...secure], folder);
  await started.until('listening on');
  const log = (): LogLine[] =>
    readFileSync(join(folder, 'runs', name, 'logs/server.log'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
  const url = log().find((line) => 'url' in line) as unknown as { url: string };
  const warnings = () => log().filter(({ level }) => level === 'warn' || level === 'error');
  const rssBytes = (): number => {
    const status = readFileSync(`/proc/${started.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  };
  return { ...started, url: url.url, port: Number(url.url.split(':').at(-1)), warnings, rssBytes };
}

/** Starts the sites; the run then ends with the same model as the first one. */
async function finishes(server: Awaited<ReturnType<typeof serving>>, name: string, scheme: string): Promise<void> {
  const secure = ['tcps', 'wss', 'https', 'grpcs'].includes(scheme);
  const work = (site: string) => `work/${name}-${site}`;
  const proof = (site: string) => (secure ? tls(site) : tokenOf(name, site));
  await finishByHand(server, server.url, folder, { dataOf: 'first', work, proof });
  expect(modelOf(folder, name).equals(modelOf(folder, 'first'))).toBe(true);
}

async function expired(): Promise<{ cert: string; key: string }> {
  const authority = await throwawayAuthority();
  return authority.issue('site-1', { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) });
}

test('over tcp: a server logs one line for each bad peer and serves on', async () => {
  const server = await serving('lines', 'tcp');
  const cases: [BadPeer, RegExp][] = [
    [writes(HTTP_REQUEST), /a frame of 542393671 bytes was announced.*is the other side FedStream/],
    [writes(TLS_HELLO), /a frame of 66326 bytes was announced.*is the other side FedStream/],
    [writes(Buffer.alloc(64)), /a frame of 0 bytes was announced/],
    [writes(Buffer.alloc(64, 255)), /a frame of 4294967295 bytes was announced/],
    [writes(framed([noise(1, 100)])), /do not begin as a FedStream frame/],
    [writes(framed(encodeFrame('ping', 0))), /began with a ping frame instead of hello/],
    [writes(framed(hello('nobody'))), /nobody/],
    [writes(framed(hello('site-1', { version: 99 }))), /speaks version 99/],
    [writes(framed(hello('../../etc'))), /hello of .* is wrong at name/],
    [writes(framed(hello('site-1')).subarray(0, 9), 'ends'), /closed the connection inside a frame/],
    [writes(Buffer.from([7]), 'resets'), /closed the connection|broke|before it said hello|inside a frame/],
    [writes(new Uint8Array(1), 'waits'), /nothing came from .* for 1\.5 s/],
    [drips(Buffer.from([200, 0, 0, 0, ...noise(2, 200)]), 300), /nothing came from .* for 1\.5 s/],
  ];
  for (const [peer, line] of cases) {
    const before = server.warnings().length;
    await peer(server.port);
    while (server.warnings().length === before) await new Promise((resolve) => setTimeout(resolve, 10));
    const lines = server.warnings().slice(before);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.msg).toMatch(line);
  }
  await finishes(server, 'lines', 'tcp');
});

test('over tcps: certificates that do not fit, and peers without TLS', async () => {
  const server = await serving('tls-lines', 'tcps');
  const cases: [BadPeer, RegExp][] = [
    [writes(HTTP_REQUEST), /was not let in: it sent plain HTTP/],
    [writes(framed(hello('site-1'))), /was not let in: (it does not speak TLS|TLS failed)/],
    [writes(noise(3, 200)), /was not let in: (it does not speak TLS|TLS failed|it offers no version)/],
    [writesInTls(framed(hello('site-1')), {}), /was not let in: it showed no certificate/],
    [writesInTls(framed(hello('site-1')), { ...certificates.untrusted }), /was not let in: its certificate is signed by nobody/],
    [writesInTls(framed(hello('site-1')), { ...(await expired()) }), /was not let in: its certificate/],
    [writesInTls(framed(hello('site-1')), { ...certificates.right }), /calls itself site-1 and shows a certificate for site-2/],
    [writesInTls(HTTP_REQUEST, { ...certificates.right }), /is the other side FedStream/],
    [writesInTls(framed(hello('site-2')), { ...certificates.right, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }), /was not let in/],
  ];
  for (const [peer, line] of cases) {
    const before = server.warnings().length;
    await peer(server.port);
    while (server.warnings().length === before) await new Promise((resolve) => setTimeout(resolve, 10));
    const lines = server.warnings().slice(before);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.msg).toMatch(line);
  }
  await finishes(server, 'tls-lines', 'tcps');
});

/** `count` connections, 24 at a time. */
async function crowd(count: number, port: number, peers: readonly BadPeer[]): Promise<void> {
  let next = 0;
  const some = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await (peers[i % peers.length] as BadPeer)(port);
  };
  await Promise.all(Array.from({ length: 24 }, some));
}

/**
 * A warm heap still grows by some MB; a kilobyte kept for each of the ten thousand would be more.
 */
const MOST_GROWTH_BYTES = 24 * 2 ** 20;
/** A heap that is not warm after one crowd is after two; bytes kept for each peer grow with every one. */
const MOST_CROWDS = 3;

const CROWDS: readonly (readonly [scheme: string, count: number])[] = [
  ['tcp', 3_000],
  ['tcps', 2_000],
  ['ws', 2_000],
  ['http', 2_000],
  ['grpc', 1_000],
];

test.each(breadth(CROWDS, CROWDS.slice(-1)))(
  'over %s: after %i bad peers a server still serves, with flat memory',
  { timeout: 240_000 },
  async (scheme, count) => {
    const name = `crowd-${scheme}`;
    const server = await serving(name, scheme);
    const plain = [
      writes(HTTP_REQUEST, 'ends'),
      writes(noise(7, 2_000), 'ends'),
      writes(Buffer.alloc(5_000), 'ends'),
      writes(framed(hello('nobody')), 'ends'),
      writes(TLS_HELLO, 'resets'),
      writes(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'ends'),
      writes(Buffer.from('POST /fedstream/1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'), 'ends'),
      writes(Buffer.from(`GET /fedstream/1/${'0'.repeat(32)} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`), 'ends'),
    ];
    const inTls = [writesInTls(framed(hello('site-1')), {}), writesInTls(new Uint8Array(0), { ...certificates.untrusted })];
    const peers = scheme === 'tcps' ? [...plain, ...inTls] : plain;
    await crowd(count / 2, server.port, peers);
    let grown = Number.POSITIVE_INFINITY;
    for (let crowds = 1; crowds <= MOST_CROWDS && grown >= MOST_GROWTH_BYTES; crowds++) {
      const before = server.rssBytes();
      await crowd(count / 2, server.port, peers);
      grown = server.rssBytes() - before;
    }
    expect(grown).toBeLessThan(MOST_GROWTH_BYTES);
    await finishes(server, name, scheme);
  },
);
