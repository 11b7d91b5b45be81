// Trees inside one process: a server, relays as its sites, and scripted sites of each relay.
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { masterOf } from '../../src/codec/float32.js';
import { decodeModel } from '../../src/codec/quantize.js';
import { type Logger, silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { RELAY_FEATURE } from '../../src/frame/hello.js';
import { runServer } from '../../src/hub/server.js';
import type { JobInput } from '../../src/job/job.js';
import { parseJob } from '../../src/kit/kit.js';
import type { EventBody } from '../../src/record/events.js';
import { runRelayClient } from '../../src/relay/relay.js';
import { openGlobalModel, writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import { NO_LEAST } from '../../src/site/limits.js';
import { siteLink } from '../../src/site/site-link.js';
import type { Dtype } from '../../src/tensor/dtype.js';
import type { Trainer } from '../../src/trainer/trainer.js';
import { modelOf, type ScriptedSite, someValues, trainerOf, type Values, valuesOf } from './scripted.js';

/** A scripted site, which may have a model to offer. */
export interface TreeSite extends ScriptedSite {
  readonly offers?: Values;
}

/** What a relay, or the server, has below it: sites, and further relays. */
export interface Branch {
  readonly [name: string]: TreeSite | Branch;
}

export interface TreeSetting {
  readonly dtype?: Dtype;
  readonly start?: Values;
  /** The folders of all by name, for a run that goes on. */
  readonly folders?: Record<string, Folder>;
  readonly stop?: AbortController;
  readonly log?: Logger;
  /** True where the server begins without a model. */
  readonly bare?: boolean;
  /** Called with the events of the server and of each relay. */
  onEvent?(whose: string, event: EventBody): void;
  evaluate?(given: Values): { loss: number; samples: number };
}

const POLICY = { filters: [], share: { errors: true, steps: true }, limits: NO_LEAST };
const noMemory = () => ({ rssBytes: 1, peakRssBytes: 2 });

export function isSite(node: TreeSite | Branch): node is TreeSite {
  return typeof node.learn === 'function';
}

function trainerFor(site: TreeSite): Trainer {
  const { offers } = site;
  return { ...trainerOf(site), ...(offers && { offer: async () => ({ model: modelOf(offers, 'F32'), files: { 'config.json': '{}' } }) }) };
}

/** Runs the job over a tree to its end; a star is a tree without relays. */
export async function tree(input: JobInput, root: Branch, setting: TreeSetting = {}) {
  const { folders = {}, stop = new AbortController(), dtype = 'F32', start = someValues(1), log = silentLogger } = setting;
  const driver = memory();
  const { signal } = stop;
  const common = { codecs: referenceCodecs, log, driver, signal };
  const folderOf = (name: string): Folder => {
    folders[name] ??= memoryFolder(name);
    return folders[name] as Folder;
  };
  const job = parseJob({ rounds: 1, sites: Object.keys(root), idleMs: 2000, ...input }, 'test');
  const run = folderOf('server');
  if (!setting.bare && (await run.list('global')).length === 0)
    await writeGlobalModel(run, 0, decodeModel(masterOf(modelOf(start, dtype)), referenceCodecs));
  const events: Record<string, EventBody[]> = { server: [] };
  const ended: Promise<string>[] = [];
  const joins = (url: string, children: Branch): void => {
    for (const [site, node] of Object.entries(children)) {
      const folder = folderOf(site);
      const link = siteLink({
        ...common,
        url,
        site,
        folder,
        share: POLICY.share,
        retryMs: 2000,
        ...(!isSite(node) && { features: [RELAY_FEATURE] }),
      });
      const shared = { ...common, site, link, folder, policy: POLICY, memory: noMemory };
      const running = isSite(node)
        ? runClient({ ...shared, bases: node.bases ?? [], makeTrainer: async () => trainerFor(node) })
        : relay(shared, node);
      running.catch(() => {});
      ended.push(running.finally(() => link.close()));
      ended.at(-1)?.catch(() => {});
    }
  };
  const relay = (
    shared: Omit<Parameters<typeof runRelayClient>[0], 'sites' | 'listeners' | 'onListening'>,
    children: Branch,
  ): Promise<string> => {
    const own: EventBody[] = [];
    events[shared.site] = own;
    return runRelayClient({
      ...shared,
      sites: Object.keys(children),
      listeners: [{ driver, url: `memory://${shared.site}` }],
      onListening: (at) => joins(at, children),
      openRecord: async () => (event) => {
        own.push(event);
        setting.onEvent?.(shared.site, event);
      },
    });
  };
  const evaluator = setting.evaluate && trainerOf({ learn: (given) => given, evaluate: setting.evaluate });
  const server = runServer({
    ...common,
    listeners: [{ driver, url: 'memory://server' }],
    job,
    run,
    files: {},
    emit: (event) => {
      events.server?.push(event);
      setting.onEvent?.('server', event);
    },
    evaluator,
    onListening: (url) => joins(url, root),
  });
  await Promise.allSettled([server]);
  await Promise.allSettled(ended);
  const result = await server;
  return {
    result,
    events,
    folders,
    model: await valuesOf(await openGlobalModel(run, result.lastRound)),
    reasons: await Promise.allSettled(ended),
  };
}
