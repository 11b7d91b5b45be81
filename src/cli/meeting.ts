// Where the processes of a simulation meet: an address on this machine, and throw-away certificates where it is inside TLS.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isSecured } from '../driver/scheme.js';
import { type Job, siteNames } from '../job/job.js';
import { type CertificateFiles, writeThrowawayCertificates } from '../node/tls/throwaway-certificates.js';

export interface Meeting {
  readonly url: string;
  /** Arguments of the server's process, beside the address. */
  readonly serverArgs: readonly string[];
  siteArgs(site: string): readonly string[];
  /** Removes what was made for it. */
  close(): void;
}

/** At the given address, or at a free one of the job's driver. */
export async function openMeeting(listen: string | undefined, job: Job, runPath: string): Promise<Meeting> {
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
  if (!isSecured(url)) return { url, serverArgs: [], siteArgs: () => [], close };
  const folder = join(runPath, 'certificates');
  made.push(folder);
  const files = await writeThrowawayCertificates(folder, siteNames(job));
  return { url, serverArgs: tlsArgs(files('localhost')), siteArgs: (site) => tlsArgs(files(site)), close };
}

function tlsArgs({ cert, key, ca }: CertificateFiles): string[] {
  return ['--tls-cert', cert, '--tls-key', key, '--tls-ca', ca];
}
