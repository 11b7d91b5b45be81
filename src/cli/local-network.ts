// How the server and the sites of a simulation reach each other on this machine, and nobody else
// reaches them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isSecured } from '../driver/scheme.js';
import { type Job, siteNames } from '../job/job.js';
import { type CertificateFiles, writeThrowawayCertificates } from '../node/tls/throwaway-certificates.js';
import { runTokenFiles, writeTokens } from '../node/tls/token-files.js';

/**
 * An address on this machine, with credentials that are thrown away: certificates if its driver uses
 * TLS, tokens if not.
 */
export interface LocalNetwork {
  /** Where the server listens; port 0 stands for a free port. */
  readonly url: string;
  /** Arguments of the server's process, besides the address. */
  readonly serverArgs: readonly string[];
  /** Arguments of a site's process, besides the address. */
  siteArgs(site: string): readonly string[];
  /** Removes the credentials and the socket's folder. */
  close(): void;
}

/** The network at the given address; without one, at a free address of the job's driver. */
export async function openLocalNetwork(listen: string | undefined, job: Job, runPath: string): Promise<LocalNetwork> {
  const made: string[] = [];
  const close = (): void => {
    for (const folder of made) rmSync(folder, { recursive: true, force: true });
  };
  const freeSocket = (): string => {
    // Not in the run folder: the path of a socket has 108 bytes at most.
    const folder = mkdtempSync(join(tmpdir(), 'fedstream-'));
    made.push(folder);
    return `uds://${join(folder, 'server.sock')}`;
  };
  const url = listen ?? (job.driver === 'uds' ? freeSocket() : `${job.driver}://127.0.0.1:0`);
  if (!isSecured(url)) {
    const folder = dirname(runTokenFiles(runPath).verifiers);
    made.push(folder);
    const { verifiers, of } = await writeTokens(folder, runTokenFiles(runPath).verifiers, siteNames(job), { replace: true });
    return { url, serverArgs: ['--tokens', verifiers], siteArgs: (site) => ['--token-file', of(site)], close };
  }
  const folder = join(runPath, 'certificates');
  made.push(folder);
  const files = await writeThrowawayCertificates(folder, siteNames(job));
  return { url, serverArgs: tlsArgs(files('localhost')), siteArgs: (site) => tlsArgs(files(site)), close };
}

function tlsArgs({ cert, key, ca }: CertificateFiles): string[] {
  return ['--tls-cert', cert, '--tls-key', key, '--tls-ca', ca];
}
