// Listeners at which a site may end: a FedStream server of any scheme, and other programs.
import { createServer as httpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { isSecured, type Scheme } from '../../src/driver/scheme.js';
import { striped } from '../../src/driver/striped.js';
import { siteCredentials } from '../../src/frame/proof.js';
import type { SessionOptions } from '../../src/frame/session.js';
import { makeToken, tokenVerifier } from '../../src/frame/token.js';
import { Hub } from '../../src/hub/hub.js';
import { parseJob } from '../../src/kit/kit.js';
import { Messages } from '../../src/message/messages.js';
import { nodeDrivers } from '../../src/node/drivers/node-drivers.js';
import { type ThrowawayAuthority, throwawayAuthority } from '../../src/node/tls/throwaway-certificates.js';
import { jobForSites } from '../../src/server/job-for-sites.js';
import { siteLink } from '../../src/site/site-link.js';

export const SITE = 'site-1';
const TOKEN = makeToken(SITE);

let authority: Promise<ThrowawayAuthority> | undefined;

/** The authority of all certificates here, made when one is needed. */
export function testAuthority(): Promise<ThrowawayAuthority> {
  authority ??= throwawayAuthority();
  return authority;
}

/** Something that listens, and how to end it. */
export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

/** A FedStream server that admits one site and has a job for it, and no task. */
export interface FedStreamServer {
  readonly scheme: Scheme;
  readonly host?: string;
  readonly path?: string;
  /** The name in its certificate; by default the host. */
  readonly certificateFor?: string;
  /** True if it lets in nobody without a certificate. */
  readonly needsCertificates?: boolean;
  readonly port?: number;
}

export async function fedStreamAt({
  scheme,
  host = 'localhost',
  path = '',
  certificateFor = 'localhost',
  needsCertificates = false,
  port = 0,
}: FedStreamServer): Promise<Listening> {
  const { ca, issue } = await testAuthority();
  const own = isSecured(scheme) ? { ca, ...(await issue(certificateFor)), certificateOptional: !needsCertificates } : {};
  const hub = new Hub({ log: silentLogger });
  const job = parseJob({ rounds: 1, sites: [SITE] }, 'the job');
  hub.add({
    name: 'run',
    sites: [SITE],
    admission: { tokens: { [SITE]: await tokenVerifier(TOKEN) } },
    idleMs: 5_000,
    async serve(session) {
      new Messages(session, { join: () => ({ job: jobForSites(job), files: [], run: 'a-run' }) });
      await session.closed;
    },
    onConnection: () => {},
  });
  const { url } = await hub.listen(striped(nodeDrivers(own), 1), `${scheme}://${host}:${port}${path}`);
  return { port: Number(/:(\d+)(\/|$)/.exec(url.replace(/^\w+:\/\/(\[[^\]]+\])?/, ''))?.[1]), close: () => hub.close() };
}

/** A program that is no FedStream server: it says these bytes, or nothing, or answers requests. */
export type Program =
  | { readonly says: string }
  | { readonly answers: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

export async function programAt(program: Program, port = 0): Promise<Listening> {
  const server = 'says' in program ? talking(program.says) : answering(program);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => void sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, 'localhost', resolve));
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: (server.address() as { port: number }).port, close };
}

function talking(words: string): Server {
  return createServer((socket) => {
    socket.resume();
    if (words !== '') socket.write(words);
  });
}

function answering({ answers, headers = {}, body = 'not here' }: Extract<Program, { answers: number }>): Server {
  const all = { server: 'nginx/1.24.0', ...headers };
  const server = httpServer((_, response) => void response.writeHead(answers, all).end(body));
  server.on('upgrade', (_, socket) => {
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${answers} No\r\n${lines.join('')}connection: close\r\n\r\n`);
  });
  return server;
}

/** How a site connects. */
export interface Connecting {
  readonly url: string;
  readonly retryMs?: number;
  readonly token?: string;
  /** Called with each line that its terminal shows meanwhile. */
  warn(line: string): void;
  readonly session?: Partial<SessionOptions>;
}

/** Joins as `fedstream client` does; resolves with the run's name. */
export async function joining({ url, retryMs = 4_000, token = TOKEN, warn }: Connecting): Promise<string> {
  const { ca } = await testAuthority();
  const link = siteLink({
    site: SITE,
    url,
    driver: striped(nodeDrivers({ ca }), 1),
    credentials: siteCredentials(token),
    codecs: referenceCodecs,
    folder: memoryFolder(SITE),
    log: { ...silentLogger, warn: (_, line) => warn(line) },
    signal: new AbortController().signal,
    retryMs,
  });
  try {
    return (await link.join()).run;
  } finally {
    await link.close();
  }
}
