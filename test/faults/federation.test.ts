// A whole federation with faults: server and sites are killed (SIGKILL) at any instant and started
// again, or the network between them is bad. It ends with the bits of a run without faults.
import { mkdirSync } from 'node:fs';
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
const SITES = ['site-1', 'site-2'];
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
  momentum: { aggregator: { type: 'momentum', momentum: 0.9, rate: 0.7 }, quantize: 'nf4' },
  fp32: { quantize: 'fp32' },
};
const NAMES = Object.keys(CASES);
/**
 * Cases whose sites hold the server's model after the last broadcast: whole weights are not kept,
 * and in a cycle not every site gets the last model.
 */
const HOLDING = NAMES.filter((name) => name !== 'fp32' && name !== 'cyclic');

/** The case of a seed. */
const caseOf = (seed: number): string => NAMES[seed % NAMES.length] as string;
const KILLED = seeds(14);
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

function roles(name: string, what: string, port: number, connectTo = port): { server: Role; sites: Role[] } {
  const listen = ['--listen', `tcp://127.0.0.1:${port}`];
  const server = new Role(
    ['server', '--job', `${what}.json`, ...listen, '--name', name],
    ['server', '--resume', join('runs', name), ...listen],
  );
  mkdirSync(join(folder, name));
  const sites = SITES.map(
    (site) =>
      new Role([
        ...['client', '--connect', `tcp://127.0.0.1:${connectTo}`, '--site', site, '--threads', '1'],
        ...['--data', `runs/quiet-${what}/data/${site}.jsonl`, '--work', join(name, site), ...tokenOf(name, site)],
      ]),
  );
  return { server, sites };
}

async function expectQuietEnd(name: string, what: string, ends: Promise<{ code: number | string; stderr: string }>[]): Promise<void> {
  for (const { code, stderr } of await Promise.all(ends)) expect(code, stderr).toBe(0);
  expect(modelOf(folder, name).equals(modelOf(folder, `quiet-${what}`))).toBe(true);
  if (!HOLDING.includes(what)) return;
  // Server and sites hold the same bits; the residual is the difference to the server's model.
  const held = await Promise.all([`runs/${name}`, ...SITES.map((site) => join(name, site))].map(heldDigest));
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
  const { server, sites } = roles(name, what, await freePort());
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

test('servers and sites were killed', () => {
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
  const { server, sites } = roles(name, what, port, proxy.port);
  const ends = [server.run()];
  await server.until('listening on');
  ends.push(...sites.map((site) => site.run()));
  await expectQuietEnd(name, what, ends);
  expect(proxy.cut() + proxy.flipped()).toBeGreaterThan(0);
  expect(lossesOf(folder, name).length).toBe(lossesOf(folder, `quiet-${what}`).length);
  await proxy.close();
});
