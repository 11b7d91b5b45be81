// How sites and their server end where a site differs from the others, or has failed rounds.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Ended, jobFile, modelOf, start, summaryOf, tokenOf, workFolder } from './command.js';

const PROGRAM = fileURLToPath(new URL('../bridge/programs/about.mjs', import.meta.url));

/** Runs a server and its two sites, each with the arguments of its program. */
async function federation(job: object, ofSites: Readonly<Record<string, readonly string[]>>) {
  const folder = workFolder();
  jobFile(folder, { trainer: { name: 'own' }, rounds: 2, quantize: 'fp32', model: 'offered', ...job });
  const server = start(['server', '--job', 'job.json', '--name', 'run', '--listen', 'tcp://127.0.0.1:0'], folder);
  await server.until('listening on');
  const log = readFileSync(join(folder, 'runs/run/logs/server.log'), 'utf8');
  const at = /"url":"([^"]+)"/.exec(log)?.[1] as string;
  const sites = Object.entries(ofSites).map(([site, args]) => {
    writeFileSync(join(folder, `${site}.json`), JSON.stringify({ trainers: { own: { command: [process.execPath, PROGRAM, ...args] } } }));
    return start(['client', '--connect', at, '--site', site, '--site-config', `${site}.json`, ...tokenOf('run', site)], folder).ended;
  });
  const [ended, ...ends] = (await Promise.all([server.ended, ...sites])) as [Ended, ...Ended[]];
  return { folder, server: ended, sites: ends };
}

test('a site with another alpha ends the run before any training, with one line and exit code 2', async () => {
  const { folder, server, sites } = await federation({}, { 'site-1': ['16'], 'site-2': ['32'] });
  expect(server.stderr).toMatch(
    /fedstream: the sites would not train the same thing, and nothing was trained: adapter\.lora_alpha is "(16|32)" at site-[12] and "(16|32)" at site-[12]\. Make them alike, or allow .*"differences": \{"adapter\.lora_alpha": "warn"\}.* \[bad-job\]/,
  );
  expect([server.code, ...sites.map(({ code }) => code)]).toEqual([2, 2, 2]);
  for (const [i, { stderr }] of sites.entries())
    expect(stderr).toContain(`adapter.lora_alpha is "${16 * (i + 1)}" here and another value elsewhere`);
  for (const site of ['site-1', 'site-2'])
    expect(readFileSync(join(folder, `fedstream-${site}/client.log`), 'utf8')).not.toContain('trains round');
});

test('the same, where the job allows it, is averaged with one warning in the report', async () => {
  const { folder, server, sites } = await federation({ differences: { adapter: 'warn' } }, { 'site-1': ['16'], 'site-2': ['32'] });
  expect([server.code, ...sites.map(({ code }) => code)], server.stderr).toEqual([0, 0, 0]);
  const { warnings } = summaryOf(folder, 'run');
  expect(warnings).toEqual([
    expect.stringMatching(/^the sites differ, as the job allows: adapter\.lora_alpha is "(16|32)" at site-[12] and/),
  ]);
  const bytes = modelOf(folder, 'run');
  expect([0, 1, 2].map((i) => bytes.readFloatLE(8 + Number(bytes.readBigUInt64LE()) + 4 * i))).toEqual([2, 2.5, 3]);
});

test('a site that has failed a round of a run that went on says so at its end, with exit code 1', async () => {
  const { folder, server, sites } = await federation({ quorum: 1 }, { 'site-1': ['16'], 'site-2': ['16', '2'] });
  const [good, failed] = sites as [Ended, Ended];
  expect([server.code, good.code], server.stderr + good.stderr).toEqual([0, 0]);
  expect(good.stderr).toContain('done: ');
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(
    /fedstream: the run is over \(.*\), and 1 of 2 rounds failed at this site: round 2: the trainer "own" ended with exit code 1 in round 2; .*on purpose.* \[trainer\]\n$/,
  );
  expect(failed.stderr).not.toContain('done: ');
  // The default folder has one of the run's own, and no lock is left.
  const run = readFileSync(join(folder, 'runs/run/run-name'), 'utf8').trim();
  expect(readdirSync(join(folder, 'fedstream-site-2')).sort()).toEqual(['client.log', `run-${run}`]);
  expect(existsSync(join(folder, `fedstream-site-2/run-${run}/trainer`))).toBe(true);
  expect(existsSync(join(folder, `fedstream-site-2/run-${run}/site.lock`))).toBe(false);
});
