// A server process under attack, over one scheme, and the honest sites that finish its job.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { nodeDrivers } from '../../src/node/drivers/node-drivers.js';
import { writeThrowawayCertificates } from '../../src/node/tls/throwaway-certificates.js';
import { readTokenFile, type TokenFiles, writeTokens } from '../../src/node/tls/token-files.js';
import { finishByHand, jobFile, modelOf, run, type Started, start, workFolder } from '../e2e/command.js';
import type { LogLine, Target } from './attack.js';
import { Peer } from './peer.js';

const HONEST = ['site-1', 'site-2'];
/** The site whose credentials the attacker has. */
const INSIDER = 'mallory';
const SECURED: ReadonlySet<string> = new Set(['tcps', 'wss', 'https', 'grpcs']);
/** Long enough for a busy machine, since the honest sites' sessions must never fall silent. */
const IDLE_MS = 10_000;

/** A server under attack. */
export interface Served {
  readonly target: Target;
  /** Throws unless the honest sites' sessions are the ones that they were, and answer. */
  checkHonest(): Promise<void>;
  /** Lets honest sites do the job; the model must be the one of a run without an attacker. */
  finishes(): Promise<void>;
  /** Ends the process, if it has not ended. */
  end(): Promise<void>;
}

/** Makes the certificates, and the model that honest sites arrive at when nobody attacks. */
export class Field {
  readonly folder = workFolder();
  #job = '';
  #tls: (name: string) => string[] = () => [];
  #tokens: TokenFiles | undefined;
  #material: (name: string) => { cert: string; key: string; ca: string } = () => ({ cert: '', key: '', ca: '' });

  async prepare(): Promise<void> {
    this.#job = jobFile(this.folder, {
      idleMs: IDLE_MS,
      stragglerMs: 600_000,
      sites: [...HONEST, INSIDER],
      quorum: HONEST.length,
      graceMs: 0,
    });
    const files = await writeThrowawayCertificates(join(this.folder, 'certificates'), [...HONEST, INSIDER]);
    this.#tls = (name) => ['--tls-cert', files(name).cert, '--tls-key', files(name).key, '--tls-ca', files(name).ca];
    this.#tokens = await writeTokens(join(this.folder, 'tokens'), join(this.folder, 'tokens.json'), [...HONEST, INSIDER]);
    const text = (path: string): string => readFileSync(path, 'utf8');
    this.#material = (name) => ({ cert: text(files(name).cert), key: text(files(name).key), ca: text(files(name).ca) });
    const { code, stderr } = await run(['simulate', '--job', this.#job, '--name', 'data', '--rounds', '1'], this.folder);
    expect(code, stderr).toBe(0);
    const quiet = await this.serve('quiet', 'tcp');
    const idle = await this.#peer(INSIDER, 'tcp', quiet.url);
    await this.#sites(quiet.started, quiet.url, 'quiet', 'tcp');
    await idle.close();
  }

  /** Starts a server that waits for its sites. */
  async serve(name: string, scheme: string): Promise<{ started: Started; url: string }> {
    const args = ['--job', this.#job, '--name', name, '--listen', `${scheme}://127.0.0.1:0`];
    const started = start(
      ['server', ...args, ...(SECURED.has(scheme) ? this.#tls('localhost') : ['--tokens', 'tokens.json'])],
      this.folder,
    );
    await started.until('listening on');
    const line = this.#log(name).find((one) => 'url' in one) as unknown as { url: string };
    return { started, url: line.url };
  }

  /** Starts a server with honest sites that have connected, and wait. */
  async attacked(scheme: string): Promise<Served> {
    const { started, url } = await this.serve(scheme, scheme);
    const [idle, ...honest] = await Promise.all([INSIDER, ...HONEST].map((site) => this.#peer(site, scheme, url)));
    // The run begins once all sites are there.
    await honest[0]?.request('next');
    await idle?.close();
    const pid = started.child.pid as number;
    const target: Target = {
      scheme,
      url,
      port: Number(/:(\d+)(?:\/|$)/.exec(url.slice(scheme.length + 3))?.[1]),
      folder: join(this.folder, 'runs', scheme),
      pid,
      connect: () => this.#driver(INSIDER, scheme).connect(url),
      insider: (site = INSIDER) => this.#peer(site, scheme, url),
      log: () => this.#log(scheme),
      rssBytes: () => rssOf(pid),
    };
    return {
      target,
      checkHonest: async () => {
        expect(started.child.exitCode, 'the server has ended').toBeNull();
        for (const { session } of honest) expect(session.ended, `the session of ${session.peerName} has ended`).toBe(false);
        for (const peer of honest) expect((await peer.request('join')).code).toBeUndefined();
      },
      finishes: async () => {
        expect(started.child.exitCode, 'the server has ended').toBeNull();
        await Promise.all(honest.map((peer) => peer.close()));
        await this.#sites(started, url, scheme, scheme);
        expect(modelOf(this.folder, scheme).equals(modelOf(this.folder, 'quiet')), 'the model is another one').toBe(true);
      },
      end: async () => {
        await Promise.all(honest.map((peer) => peer.close()));
        started.child.kill('SIGKILL');
        await started.ended;
      },
    };
  }

  #sites(server: Started, url: string, name: string, scheme: string): Promise<void> {
    const work = (site: string) => `work/${name}-${site}`;
    const proof = (site: string) => this.#proof(scheme, site);
    return finishByHand(server, url, this.folder, { sites: HONEST, dataOf: 'data', work, proof });
  }

  #peer(site: string, scheme: string, url: string): Promise<Peer> {
    const token = SECURED.has(scheme) ? undefined : this.#tokens?.of(site);
    const credentials = token === undefined ? undefined : readTokenFile(token, site);
    return Peer.open(this.#driver(site, scheme), url, { name: site, idleMs: IDLE_MS, credentials });
  }

  #proof(scheme: string, site: string): string[] {
    return SECURED.has(scheme) ? this.#tls(site) : ['--token-file', this.#tokens?.of(site) ?? ''];
  }

  #driver(site: string, scheme: string) {
    return nodeDrivers(SECURED.has(scheme) ? this.#material(site) : undefined);
  }

  #log(name: string): LogLine[] {
    return readFileSync(join(this.folder, 'runs', name, 'logs/server.log'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
  }
}

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}
