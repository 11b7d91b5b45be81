// How the sites of a simulated swarm reach each other on this machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { jsonText } from '../core/json-text.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type Job, siteNames } from '../job/job.js';
import { nodeFolder } from '../node/storage/node-folder.js';

/** The ways between the sites. */
export interface LocalSwarm {
  /** Arguments of a site's process. */
  siteArgs(site: string): readonly string[];
  /** Removes the sockets' folder. */
  close(): void;
}

const FILE = 'swarm.json';
const portsSchema = z.record(z.string(), z.int().min(1).max(65_535));

/**
 * A free address for each site, by the job's driver. Ports stay the same for a run that goes on: a
 * round that had begun knows them. The sites evaluate on a share of their own data, as the server would
 * on its own.
 */
export async function openLocalSwarm(job: Job, runPath: string): Promise<LocalSwarm> {
  const { urls, close } = await (job.driver === 'uds' ? sockets(job) : ports(job, runPath));
  const own = ['--hold-out', String(Math.round(100 * job.validationFraction))];
  const allow = ['127.0.0.1', ...Object.values(urls).filter((url) => url.startsWith('uds:'))].flatMap((host) => ['--swarm-allow', host]);
  return { siteArgs: (site) => ['--swarm-listen', urls[site] as string, ...allow, ...own], close };
}

interface Ways {
  readonly urls: Readonly<Record<string, string>>;
  close(): void;
}

async function sockets(job: Job): Promise<Ways> {
  // Not in the run folder: the path of a socket has 108 bytes at most.
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-'));
  const urls = Object.fromEntries(siteNames(job).map((site, index) => [site, `uds://${join(folder, `${index}.sock`)}`]));
  return { urls, close: () => rmSync(folder, { recursive: true, force: true }) };
}

async function ports(job: Job, runPath: string): Promise<Ways> {
  const run = nodeFolder(runPath);
  const known = await readState(run, FILE, portsSchema);
  const found: Record<string, number> = { ...known };
  const missing = siteNames(job).filter((site) => found[site] === undefined);
  const free = await freePorts(missing.length);
  for (const [index, site] of missing.entries()) found[site] = free[index] as number;
  await writeText(run, FILE, jsonText(found, FILE));
  return {
    urls: Object.fromEntries(Object.entries(found).map(([site, port]) => [site, `${job.driver}://127.0.0.1:${port}`])),
    close: () => {},
  };
}

/** Ports that nobody listens at now, all held until the last is found, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const found: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    found.push((server.address() as { port: number }).port);
  }
  for (const server of servers) server.close();
  return found;
}
