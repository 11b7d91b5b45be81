// Two runs of one hub at the same time: each ends with the same bits as alone, and neither gets
// anything of the other.
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { readText } from '../../src/core/storage-text.js';
import type { Driver } from '../../src/driver/driver.js';
import { memory } from '../../src/driver/memory.js';
import type { Retriever } from '../../src/exchange/retriever.js';
import type { Task } from '../../src/exchange/task.js';
import { siteCredentials } from '../../src/frame/proof.js';
import { Session } from '../../src/frame/session.js';
import { makeToken, type TokenVerifier, tokenVerifier } from '../../src/frame/token.js';
import type { AdmissionRules } from '../../src/hub/admission.js';
import { Hub } from '../../src/hub/hub.js';
import { addJobRun } from '../../src/hub/job-run.js';
import { parseJob } from '../../src/kit/kit.js';
import { nodeDrivers } from '../../src/node/drivers/node-drivers.js';
import type { TlsMaterial } from '../../src/node/drivers/tls.js';
import { throwawayAuthority } from '../../src/node/tls/throwaway-certificates.js';
import { memorySource } from '../../src/stream/source.js';
import { bitsOf, type ScriptedSite, type Values } from '../federation/scripted.js';
import { federateIn, GUEST, type Plan } from './federation.js';

/** A token for each site of each run. */
const TOKENS: Record<string, Record<string, string>> = {};
const VERIFIERS: Record<string, Record<string, TokenVerifier>> = {};
for (const run of ['alpha', 'beta']) {
  TOKENS[run] = {};
  VERIFIERS[run] = {};
  for (const site of ['site-1', 'site-2', GUEST]) {
    TOKENS[run][site] = makeToken(site);
    VERIFIERS[run][site] = await tokenVerifier(TOKENS[run][site]);
  }
}
const credentialsOf = (run: string, site: string) => siteCredentials(TOKENS[run]?.[site] as string);
const anything = z.object({});

const learns = (step: number): ScriptedSite => ({
  learn: (given: Values, round) =>
    Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value, i) => value + step * Math.cos(i + round))])),
});

/** Sites of the same names, on purpose; different files, models and steps. */
const alpha = {
  name: 'alpha',
  job: { rounds: 3 },
  files: { 'alpha.json': '{"of":"alpha"}' },
  seed: 1,
  sites: { 'site-1': learns(0.01), 'site-2': learns(-0.02) },
};
const beta = {
  name: 'beta',
  job: { rounds: 2 },
  files: { 'beta.json': '{"of":"beta"}' },
  seed: 2,
  sites: { 'site-1': learns(0.03), 'site-2': learns(0.04) },
};

/** Final bits of each run that has a hub to itself, over the memory driver. */
const alone: Record<string, Record<string, string>> = {};
let server: TlsMaterial;
const certified: Record<string, TlsMaterial> = {};
let ca: string;

beforeAll(async () => {
  const authority = await throwawayAuthority();
  ca = authority.ca;
  server = { ca, ...(await authority.issue('localhost', { alsoFor: ['127.0.0.1'] })), certificateOptional: true };
  for (const site of ['site-1', 'site-2', GUEST]) certified[site] = { ca, ...(await authority.issue(site)) };
  for (const plan of [alpha, beta]) {
    const [hub, driver, url] = [new Hub({ log: silentLogger }), memory(), 'memory://alone'];
    await hub.listen(driver, url);
    alone[plan.name] = bitsOf((await federateIn(hub, { ...plan, reach: () => ({ driver, url }) })).model);
    await hub.close();
  }
}, 60_000);

interface Ways {
  /** The driver and URL of each listener. */
  listeners(): readonly { readonly driver: Driver; readonly url: string }[];
  readonly admission: Record<string, AdmissionRules>;
  /** Driver, URL and credentials of a site of a run, given the hub's listeners. */
  reach(run: string, site: string, urls: readonly string[]): ReturnType<Plan['reach']>;
}

const ways: Record<string, Ways> = {
  'alpha over tcps by certificates, beta over wss by a token': {
    listeners: () => ['tcps://127.0.0.1:0', 'wss://127.0.0.1:0/fed'].map((url) => ({ driver: nodeDrivers(server), url })),
    // The certificate of site-1 is not valid for the site-1 of the other run.
    admission: {
      alpha: { tokens: VERIFIERS.alpha },
      beta: { tokens: VERIFIERS.beta, certificateNames: { 'site-1': [], 'site-2': [], [GUEST]: [] } },
    },
    reach: (run, site, urls) =>
      run === 'alpha'
        ? { driver: nodeDrivers(certified[site]), url: urls[0] as string }
        : { driver: nodeDrivers({ ca }), url: urls[1] as string, credentials: credentialsOf('beta', site) },
  },
  'both over one port': {
    listeners: () => [{ driver: nodeDrivers(), url: 'tcp://127.0.0.1:0' }],
    admission: { alpha: { tokens: VERIFIERS.alpha }, beta: { tokens: VERIFIERS.beta } },
    reach: (run, site, urls) => ({ driver: nodeDrivers(), url: urls[0] as string, credentials: credentialsOf(run, site) }),
  },
};

/**
 * A run in the middle of its second round: a task of its guest, and the objects that the task
 * names.
 */
interface Glimpse {
  readonly task: Task;
  readonly objects: readonly string[];
}

/** A member of alpha asks for all objects of beta, and reports on tasks of beta. */
async function pry(guest: Retriever, { task, objects }: Glimpse): Promise<void> {
  const { messages, streams } = guest;
  const folder = memoryFolder('pried');
  for (const [i, name] of objects.entries())
    await expect(guest.model(name, { folder, name: `${i}.spool` }), name).rejects.toMatchObject({ code: 'not-found' });
  await expect(guest.file('beta.json', { folder })).rejects.toMatchObject({ code: 'not-found' });
  expect(await folder.list()).toEqual([]);
  // Reports of another run's task are reports of an unknown task.
  const step = { step: 777, loss: 0.5, learningRate: 1, tokens: 1 };
  await messages.request('progress', { task: task.id, steps: [step], memory: { rssBytes: 1, peakRssBytes: 1 }, alive: true }, anything);
  await messages.request('evaluated', { task: task.id, samples: 1, steps: 0, trainLoss: 0 }, anything);
  await messages.request('has-base', { task: task.id }, anything);
  await messages.request('fail', { task: task.id, code: 'internal', message: 'from elsewhere' }, anything);
  const figures = { task: task.id, samples: 1, steps: 1, trainLoss: 0.5 };
  await expect(streams.send({ kind: 'result', figures }, memorySource(new Uint8Array(100)))).rejects.toMatchObject({ code: 'refused' });
}

describe.each(Object.entries(ways))('%s', (_, { listeners, admission, reach }) => {
  test('both train to the end with the same bits as alone, and a site of one gets nothing of the other', {
    timeout: 60_000,
  }, async () => {
    const warnings: string[] = [];
    const hub = new Hub({ log: { ...silentLogger, warn: (_fields, message) => void warnings.push(message) } });
    const urls: string[] = [];
    for (const { driver, url } of listeners()) urls.push((await hub.listen(driver, url)).url);
    let show: (glimpse: Glimpse) => void = () => {};
    const shown = new Promise<Glimpse>((resolve) => {
      show = resolve;
    });
    let done: () => void = () => {};
    const pried = new Promise<void>((resolve) => {
      done = resolve;
    });
    const own: string[] = [];
    const plans: Plan[] = [
      {
        ...alpha,
        admission: admission.alpha as AdmissionRules,
        reach: (site) => reach('alpha', site, urls),
        async guest({ round }, guest) {
          if (round !== 1) return;
          await pry(guest, await shown);
          done();
        },
      },
      {
        ...beta,
        admission: admission.beta as AdmissionRules,
        reach: (site) => reach('beta', site, urls),
        async guest(task, guest) {
          if (task.round !== 2 || task.kind !== 'train') return;
          const { whole, start, updates = [] } = task.model as NonNullable<Task['model']>;
          const objects = [whole.object, ...(start?.object ? [start.object] : []), ...updates.map(({ object }) => object)];
          show({ task, objects });
          await pried;
          // They exist, for a member of this run.
          const folder = memoryFolder('own');
          for (const [i, name] of objects.entries()) own.push((await guest.model(name, { folder, name: `${i}.spool` })).figures.digest);
          await guest.file('beta.json', { folder });
          expect(await readText(folder, 'beta.json')).toBe(beta.files['beta.json']);
        },
      },
    ];
    const [a, b] = await Promise.all(plans.map((plan) => federateIn(hub, plan)));
    expect(bitsOf(a?.model)).toEqual(alone.alpha);
    expect(bitsOf(b?.model)).toEqual(alone.beta);
    expect(alone.alpha).not.toEqual(alone.beta);
    expect([a?.joined, b?.joined]).toEqual([
      { 'site-1': ['alpha.json'], 'site-2': ['alpha.json'] },
      { 'site-1': ['beta.json'], 'site-2': ['beta.json'] },
    ]);
    expect(new Set(own).size).toBeGreaterThan(1);
    // None of the reports to alpha reached beta.
    expect(b?.events.filter((event) => event.type === 'step').map(({ step }) => step)).not.toContain(777);
    expect(
      b?.events
        .filter((event) => event.type === 'warning')
        .map(({ message }) => message)
        .join(),
    ).not.toContain('from elsewhere');
    expect(warnings).toEqual([]);
    await hub.close();
  });

  test('credentials of one run do not open the other, and a site that names no run is told of none', async () => {
    const warnings: string[] = [];
    const hub = new Hub({ log: { ...silentLogger, warn: (_fields, message) => void warnings.push(message) } });
    const urls: string[] = [];
    for (const { driver, url } of listeners()) urls.push((await hub.listen(driver, url)).url);
    const idle = async (): Promise<void> => {};
    for (const name of ['alpha', 'beta'])
      hub.add({ name, sites: ['site-1'], admission: admission[name] as AdmissionRules, idleMs: 5000, serve: idle, onConnection: () => {} });
    const refusal = async (credentialsOf: string, run: string | undefined) => {
      const { driver, url, credentials } = reach(credentialsOf, 'site-1', urls);
      const session = new Session(await driver.connect(url), { name: 'site-1', run, credentials });
      void session.start().catch(() => {});
      return session.closed;
    };
    expect(await refusal('alpha', 'beta')).toMatchObject({ code: 'refused', message: expect.stringMatching(/certificate|token/) });
    expect(await refusal('beta', 'alpha')).toMatchObject({ code: 'refused', message: expect.stringMatching(/certificate|token/) });
    await vi.waitFor(() => expect(warnings).toHaveLength(2));
    const unnamed = await refusal('alpha', undefined);
    expect(unnamed).toMatchObject({ code: 'refused' });
    expect(unnamed.message).not.toMatch(/alpha|beta/);
    // Lines of one kind are counted after the second; the count comes at the end.
    await hub.close();
    await vi.waitFor(() => expect(warnings).toHaveLength(3));
  });
});

test('a run that fails ends alone: the other one trains to its end', { timeout: 60_000 }, async () => {
  const [hub, driver, url] = [new Hub({ log: silentLogger }), memory(), 'memory://both'];
  await hub.listen(driver, url);
  const breaks: ScriptedSite = {
    learn: () => {
      throw new Error('out of memory');
    },
  };
  let failed: () => void = () => {};
  const over = new Promise<void>((resolve) => {
    failed = resolve;
  });
  const waits: ScriptedSite = {
    async learn(given, round) {
      if (round === 2) await over;
      return alpha.sites['site-1'].learn(given, round);
    },
  };
  const broken = federateIn(hub, { ...beta, sites: { 'site-1': breaks, 'site-2': breaks }, reach: () => ({ driver, url }) });
  const good = federateIn(hub, { ...alpha, sites: { ...alpha.sites, 'site-1': waits }, reach: () => ({ driver, url }) });
  await expect(broken).rejects.toMatchObject({ code: 'quorum' });
  failed();
  expect(bitsOf((await good).model)).toEqual(alone.alpha);
  await hub.close();
});

test('a hub that closes ends its runs', async () => {
  const hub = new Hub({ log: silentLogger });
  const { signal } = new AbortController();
  const job = parseJob({ ...alpha.job, sites: ['site-1'] }, 'test');
  const common = { codecs: referenceCodecs, log: silentLogger, files: {}, emit: () => {}, signal };
  const runs = await Promise.all(['one', 'two'].map((name) => addJobRun(hub, { ...common, job, name, run: memoryFolder(name) })));
  const ends = runs.map((run) => expect(run.finish()).rejects.toMatchObject({ code: 'aborted', message: 'stopped by hand' }));
  await hub.close(new FedStreamError('aborted', 'stopped by hand'));
  await Promise.all(ends);
});
