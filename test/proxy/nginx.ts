// The nginx of this machine, configured as in docs/proxies.md. Without it, tests that need it are
// skipped, or fail if FEDSTREAM_REQUIRE_NGINX is set.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../faults/free-port.js';

const found = ['nginx', '/usr/sbin/nginx'].find((name) => spawnSync(name, ['-v']).status === 0);
if (!found && process.env.FEDSTREAM_REQUIRE_NGINX) throw new Error('there is no nginx: install it');

/** For `test.skipIf`. */
export const withoutNginx = !found;

/** Ports of the servers behind it, as in the page. */
const BEHIND = { ws: 9101, http: 9102, grpc: 9103 } as const;
const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

export interface Nginx {
  /** URLs that the servers behind it have to listen on. */
  readonly behind: Readonly<Record<keyof typeof BEHIND, number>>;
  readonly tlsPort: number;
  /** The same without TLS. */
  readonly plainPort: number;
  close(): Promise<void>;
}

export async function startNginx({ cert, key }: { readonly cert: string; readonly key: string }): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-nginx-'));
  for (const [name, pem] of Object.entries({ cert, key })) writeFileSync(join(folder, name), pem);
  mkdirSync(join(folder, 'temporary'));
  const behind = { ws: await freePort(), http: await freePort(), grpc: await freePort() };
  const [tlsPort, plainPort] = [await freePort(), await freePort()];
  let block = blockOfPage();
  for (const [name, port] of Object.entries(BEHIND)) block = replaced(block, `127.0.0.1:${port}`, `127.0.0.1:${behind[name as 'ws']}`);
  const tls = replaced(
    replaced(replaced(block, 'listen 443 ssl', `listen 127.0.0.1:${tlsPort} ssl`), '/etc/ssl/fed.example.org.crt', join(folder, 'cert')),
    '/etc/ssl/fed.example.org.key',
    join(folder, 'key'),
  );
  const plain = replaced(block.replaceAll(/^ *ssl_.*\n/gm, ''), 'listen 443 ssl', `listen 127.0.0.1:${plainPort}`);
  const file = join(folder, 'nginx.conf');
  const temporary = TEMPORARY.map((name) => `${name}_temp_path ${join(folder, 'temporary', name)};`).join('\n');
  // One process, which the test ends.
  const main = `daemon off;\nmaster_process off;\npid ${join(folder, 'pid')};\nerror_log stderr;\nevents { worker_connections 4096; }\n`;
  writeFileSync(file, `${main}http {\naccess_log off;\n${temporary}\n${tls}\n${plain}\n}\n`);
  const child = spawn(found as string, ['-p', folder, '-e', 'stderr', '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  await serving(child, plainPort);
  return {
    behind,
    tlsPort,
    plainPort,
    async close() {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function blockOfPage(): string {
  const page = readFileSync(new URL('../../docs/proxies.md', import.meta.url), 'utf8');
  const [, block] = /```nginx\n([\s\S]*?)```/.exec(page) ?? [];
  if (!block) throw new Error('docs/proxies.md has no block for nginx');
  return block;
}

/** Replaces a text of the page; fails if the page no longer has it. */
function replaced(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the block for nginx in docs/proxies.md has no ${JSON.stringify(from)}`);
  return text.replaceAll(from, to);
}

async function serving(child: ChildProcess, port: number): Promise<void> {
  let said = '';
  child.stderr?.on('data', (text) => {
    said = (said + text).slice(-4000);
  });
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${said}`);
    if (await answers(port)) return;
    await sleep(50);
  }
  throw new Error(`nginx does not listen: ${said}`);
}

function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
