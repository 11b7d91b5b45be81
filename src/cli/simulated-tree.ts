// The relays of a simulation: which sites each has, kept in the run folder for a run that goes on.
import { join } from 'node:path';
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { jsonText } from '../core/json-text.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type Job, siteNames } from '../job/job.js';
import { nodeFolder } from '../node/storage/node-folder.js';
import { INNER_FOLDER } from '../relay/relay.js';
import { runsIn } from '../site/run-place.js';

const FILE = 'relays.json';
const treeSchema = z.record(z.string(), z.array(z.string()));

/** The sites of each relay, by its name. */
export type Tree = Readonly<Record<string, readonly string[]>>;

/**
 * Shares the job's sites out among so many relays, in order. Throws `bad-argument` for more relays
 * than sites, and for fields of the job that speak of the server's own sites.
 */
export function treeOf(job: Job, relays: number): Tree {
  const sites = siteNames(job);
  if (relays > sites.length)
    throw new FedStreamError('bad-argument', `--relays ${relays}: the job has ${sites.length} sites, and each relay needs one`);
  if (job.weights.type === 'sites')
    throw new FedStreamError('bad-argument', '--relays: the job gives weights by site, and the sites of its server are the relays');
  if (job.quorum !== undefined && job.quorum > relays)
    throw new FedStreamError(
      'bad-argument',
      `--relays ${relays}: the job's quorum is ${job.quorum} results, and the relays give ${relays}`,
    );
  if ('files' in job.data)
    throw new FedStreamError('bad-argument', '--relays: the job names a file of data for each site; give one that is split: --data FILE');
  const named = Array.from({ length: relays }, (_, index) => [
    `relay-${index + 1}`,
    sites.slice(Math.floor((index * sites.length) / relays), Math.floor(((index + 1) * sites.length) / relays)),
  ]);
  return Object.fromEntries(named);
}

/** Writes the tree beside the job of its server, whose sites are the relays; returns that job. */
export async function writeTree(runPath: string, job: Job, tree: Tree): Promise<Job> {
  const run = nodeFolder(runPath);
  const above: Job = { ...job, sites: Object.keys(tree) };
  await writeText(run, FILE, `${jsonText(tree, FILE, 2)}\n`);
  await writeText(run, 'job.json', `${jsonText(above, 'job.json', 2)}\n`);
  return above;
}

/** The tree of a run; undefined for a star. */
export function readTree(runPath: string): Promise<Tree | undefined> {
  return readState(nodeFolder(runPath), FILE, treeSchema);
}

/** The reports of the relays' own sites, each with its relay, as far as there are some. */
export async function relayReports(runPath: string, tree: Tree): Promise<[relay: string, report: string][]> {
  const found: [string, string][] = [];
  for (const relay of Object.keys(tree)) {
    const work = nodeFolder(runPath).folder(`sites/${relay}`);
    for (const run of await runsIn(work))
      if ((await work.sizeBytes(`${run}/${INNER_FOLDER}/report.html`)) !== undefined)
        found.push([relay, join(runPath, 'sites', relay, run, INNER_FOLDER, 'report.html')]);
  }
  return found;
}
