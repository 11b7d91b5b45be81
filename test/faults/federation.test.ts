// A whole federation with faults: server and sites are killed (SIGKILL) at any instant and started
// again, or the network between them is bad. It ends with the bits of a run without faults.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { randomStream } from '../../src/core/random.js';
import { contentDigest } from '../../src/exchange/content-digest.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { runsIn } from '../../src/site/run-place.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';
import { jobFile, lossesOf, modelOf, run, SMALL_JOB, type Started, start, tokenOf, workFolder } from '../e2e/command.js';
import { inProportion, seeds } from './cases.js';
import { freePort } from './free-port.js';
import { badWeather, type Weather } from './proxy.js';

const folder = workFolder();
/** A job with all kinds of state that survive a kill: updates, error feedback, optimizer state. */
const JOB = { ...SMALL_JOB, rounds: 4, train: { ...SMALL_JOB.train, optimizerState: 'keep', localSteps: 30 } };
/**
 * The cases: each coding, each workflow, an aggregator with state of its own, and a filter that
 * promises a bound.
 */
const CASES: Readonly<Record<string, object>> = {
  nf4: { quantize: 'nf4' },
  scaffold: { workflow: 'scaffold', quantize: 'u4', extras: { control: { quantize: 'bf16' } } },
  u4: { quantize: 'u4' },
  cyclic: { workflow: 'cyclic', quantize: 'u4' },
  lean: { quantize: 'lean' },
  clip: { quantize: 'u4', filters: { 'result-out': [{ type: 'clip', norm: 0.5 }] } },
  topk: { quantize: { up: 'topk:0.05' } },
  fedProx: { workflow: { type: 'fedProx', mu: 0.1 }, quantize: 'lean' },
  fedNova: {
    workflow: 'fedNova',
    quantize: 'u4',
    train: { ...SMALL_JOB.train, localSteps: undefined, localEpochs: 1, optimizerState: 'keep' },
  },
  momentum: { aggregator: { type: 'momentum', momentum: 0.9, rate: 0.7 }, quantize: 'nf4' },
  fp32: { quantize: 'fp32' },
  nesterov: { algorithm: 'diloco', quantize: 'u4' },
  adam: { aggregator: { type: 'adam', rate: 0.005, schedule: 'linear', warmupRounds: 1 }, quantize: 'lean' },
  median: { aggregator: 'median', quantize: 'u4', sites: 3, quorum: 3 },
  multiKrum: { aggregator: 'multiKrum', quantize: 'nf4', sites: 5, quorum: 5 },
  streaming: { workflow: { type: 'streaming', parts: 2, overlap: 8 }, aggregator: 'nesterov', quantize: 'lean' },
  streamingWhole: { workflow: { type: 'streaming', parts: 3, overlap: 4, alpha: 0 }, quantize: 'fp32' },
  swarm: { workflow: { type: 'swarm', order: 'roundRobin' }, quantize: 'u4', aggregator: { type: 'momentum', momentum: 0.9 } },
  // With as many updates in a buffer as there are sites, the order of arrival has no effect on the bits.
  fedBuff: { workflow: { type: 'fedBuff', buffer: 2 }, quantize: 'u4' },
};
/** The sites of a case. */
const sitesOf = (name: string): string[] =>
  Array.from({ length: (CASES[name] as { sites?: number }).sites ?? SMALL_JOB.sites }, (_, i) => `site-${i + 1}`);
/** `FEDSTREAM_CASES=median,adam` tries these cases alone. */
const CHOSEN = process.env.FEDSTREAM_CASES?.split(',');
const NAMES = CHOSEN ?? Object.keys(CASES);
for (const name of NAMES) if (!CASES[name]) throw new Error(`there is no case ${name}; there are ${Object.keys(CASES).join(', ')}`);
/**
 * Cases whose sites hold the server's model after the last broadcast: whole weights are not kept, in
 * a cycle not every site gets the last model, parts are held each by itself, and in a swarm the
 * server has none.
 */
const NOT_HOLDING = ['fp32', 'cyclic', 'swarm', 'streaming', 'streamingWhole'];
const HOLDING = NAMES.filter((name) => !NOT_HOLDING.includes(name));

/** The case of a seed. */
const caseOf = (seed: number): string => NAMES[seed % NAMES.length] as string;
const KILLED = seeds(NAMES.length);
const WEATHERED = seeds(3);

beforeAll(async () => {
  for (const name of new Set([...KILLED, ...WEATHERED].map(caseOf))) {
    jobFile(folder, { ...JOB, ...CASES[name] }, `${name}.json`);
    const quiet = await run(['simulate', '--job', `${name}.json`, '--name', `quiet-${name}`], folder);
    expect(quiet.code, quiet.stderr).toBe(0);
  }
}, 240_000);

/** A command that is started again whenever it is killed, as `again`, which may differ. */
class Role {
  readonly #first: readonly string[];
  readonly #again: readonly string[];
  #running: Started | undefined;
  kills = 0;
  ended = false;

  constructor(first: readonly string[], again = first) {
    this.#first = first;
    this.#again = again;
  }

  async run(): Promise<{ code: number | string; stderr: string }> {
    for (let first = true; ; first = false) {
      this.#running = start(first ? this.#first : this.#again, folder);
      const end = await this.#running.ended;
      if (end.code === 'SIGKILL') continue;
      this.ended = true;
      return end;
    }
  }

  until(text: string): Promise<void> {
    return (this.#running as Started).until(text);
  }

  kill(): void {
    this.kills++;
    this.#running?.child.kill('SIGKILL');
  }
}

async function roles(name: string, what: string, port: number, connectTo = port): Promise<{ server: Role; sites: Role[] }> {
  const listen = ['--listen', `tcp://127.0.0.1:${port}`];
  const server = new Role(
    ['server', '--job', `${what}.json`, ...listen, '--name', name],
    ['server', '--resume', join('runs', name), ...listen],
  );
  mkdirSync(join(folder, name));
  const swarm = await Promise.all(sitesOf(what).map(async () => (what === 'swarm' ? swarmArgs(await freePort()) : [])));
  const sites = sitesOf(what).map(
    (site, index) =>
      new Role([
        ...['client', '--connect', `tcp://127.0.0.1:${connectTo}`, '--site', site, '--threads', '1'],
        ...(swarm[index] as string[]),
        ...['--data', `runs/quiet-${what}/data/${site}.jsonl`, '--work', join(name, site), ...tokenOf(name, site)],
      ]),
  );
  return { server, sites };
}

/** The options of a simulated swarm's sites. */
function swarmArgs(port: number): string[] {
  return ['--swarm-listen', `tcp://127.0.0.1:${port}`, '--swarm-allow', '127.0.0.1', '--hold-out', '10'];
}

/** The models that a run leaves: the server's, or in a swarm that of each site. */
function modelsOf(name: string, what: string): Buffer[] {
  if (what !== 'swarm') return [modelOf(folder, name)];
  return sitesOf(what).map((site) => {
    const work = [join(folder, name, site), join(folder, 'runs', name, 'sites', site)].find((path) => existsSync(path)) as string;
    const place = readdirSync(work).find((entry) => entry.startsWith('model-')) as string;
    return readFileSync(join(work, place, 'model.safetensors'));
  });
}

async function expectQuietEnd(name: string, what: string, ends: Promise<{ code: number | string; stderr: string }>[]): Promise<void> {
  for (const { code, stderr } of await Promise.all(ends)) expect(code, stderr).toBe(0);
  const [quiet] = modelsOf(`quiet-${what}`, what) as [Buffer];
  for (const model of modelsOf(name, what)) expect(model.equals(quiet)).toBe(true);
  if (!HOLDING.includes(what)) return;
  // Server and sites hold the same bits; the residual is the difference to the server's model.
  const held = await Promise.all([`runs/${name}`, ...sitesOf(what).map((site) => join(name, site))].map(heldDigest));
  expect(held[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(held).size).toBe(1);
}

/** The digest of the newest held model of a folder, computed from its values. */
async function heldDigest(of: string): Promise<string | undefined> {
  const site = (await runsIn(nodeFolder(join(folder, of)))).find((name) => name !== 'run-name');
  const own = nodeFolder(join(folder, of, site ?? '.', 'held'));
  const names = (await own.list()).filter((name) => name.endsWith('.safetensors'));
  const newest = names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  return newest === undefined ? undefined : contentDigest(await openSafetensors(own, newest), referenceCodecs);
}

const met = { server: 0, sites: 0 };

test.each(KILLED)('a federation survives kills (seed %i)', { timeout: 180_000 }, async (seed) => {
  const random = randomStream(seed, 'federation');
  const name = `killed-${seed}`;
  const what = caseOf(seed);
  const { server, sites } = await roles(name, what, await freePort());
  const ends = [server.run()];
  await server.until('listening on');
  ends.push(...sites.map((site) => site.run()));
  const all = [server, ...sites];
  for (let kills = 2 + random.integer(3); kills > 0; kills--) {
    await new Promise((resolve) => setTimeout(resolve, 100 + random.integer(900)));
    const role = all[random.integer(all.length)] as Role;
    if (all.some(({ ended }) => ended)) break;
    role.kill();
  }
  await expectQuietEnd(name, what, ends);
  met.server += server.kills;
  for (const { kills } of sites) met.sites += kills;
});

test.skipIf(CHOSEN)('servers and sites were killed', () => {
  expect(met.server).toBeGreaterThan(inProportion(2));
  expect(met.sites).toBeGreaterThan(inProportion(2));
});

const CLIMATES: Omit<Weather, 'seed'>[] = [
  { cuts: { connections: 6, withinBytes: 60_000 } },
  { flips: { oneIn: 60_000, most: 8 } },
  { delayMs: 5, cuts: { connections: 4, withinBytes: 100_000 }, flips: { oneIn: 100_000, most: 4 } },
];

test.each(WEATHERED)('a federation survives a bad network (seed %i)', { timeout: 180_000 }, async (seed) => {
  const name = `weather-${seed}`;
  const port = await freePort();
  const proxy = await badWeather(() => port, { seed, ...(CLIMATES[seed % CLIMATES.length] as (typeof CLIMATES)[number]) });
  const what = caseOf(seed);
  const { server, sites } = await roles(name, what, port, proxy.port);
  const ends = [server.run()];
  await server.until('listening on');
  ends.push(...sites.map((site) => site.run()));
  await expectQuietEnd(name, what, ends);
  expect(proxy.cut() + proxy.flipped()).toBeGreaterThan(0);
  expect(lossesOf(folder, name).length).toBe(lossesOf(folder, `quiet-${what}`).length);
  await proxy.close();
});
