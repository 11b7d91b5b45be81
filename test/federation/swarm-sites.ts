// A swarm inside one process: a coordinator and sites over memory drivers, with what crosses the
// coordinator's counted.
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { Connection, Driver } from '../../src/driver/driver.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import type { JobInput } from '../../src/job/job.js';
import { builtInKit, parseJob, workflowOf } from '../../src/kit/kit.js';
import type { EventBody } from '../../src/record/events.js';
import { runClient } from '../../src/site/client.js';
import type { ServerLink } from '../../src/site/server-link.js';
import { siteLink } from '../../src/site/site-link.js';
import { swarmTasks } from '../../src/swarm/swarm-tasks.js';
import { modelOf, type ScriptedSite, someValues, trainerOf, type Values, valuesOf } from './scripted.js';

export interface SwarmSite extends ScriptedSite {
  /** False for a site that no other connects to. */
  readonly listens?: boolean;
  /** The address that it announces, instead of its own. */
  readonly address?: string;
  /** The hosts that it connects to; by default those of all sites. */
  readonly allow?: readonly string[];
  /** False where its trainer has no model to begin with. */
  readonly offers?: boolean;
  readonly signal?: AbortSignal;
}

export interface SwarmSetting {
  readonly run?: Folder;
  readonly folders?: Record<string, Folder>;
  readonly stop?: AbortController;
  readonly start?: Values;
  onEvent?(event: EventBody): void;
}

/** Counts the bytes of all frames, both ways. */
export function counted(driver: Driver, counts: { bytes: number }): Driver {
  const counting = (connection: Connection): Connection =>
    new Proxy(connection, {
      get(target, key) {
        if (key === 'send')
          return (...parts: readonly Uint8Array[]) => {
            for (const { length } of parts) counts.bytes += length;
            return target.send(...parts);
          };
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  return {
    ...driver,
    connect: async (url, options) => counting(await driver.connect(url, options)),
    listen: (url, accept, options) => (driver.listen as NonNullable<Driver['listen']>)(url, (one) => accept(counting(one)), options),
  };
}

/** Runs a swarm to its end. */
export async function swarm(input: JobInput, sites: Record<string, SwarmSite>, setting: SwarmSetting = {}) {
  const { run = memoryFolder('run'), folders = {}, stop = new AbortController(), start = someValues(1), onEvent } = setting;
  const job = parseJob({ rounds: 2, sites: Object.keys(sites), idleMs: 1000, stragglerMs: 5000, workflow: 'swarm', ...input }, 'test');
  const central = { bytes: 0 };
  const between = { bytes: 0 };
  const driver = counted(memory(), central);
  const others = counted(memory(), between);
  const url = 'memory://coordinator';
  const events: EventBody[] = [];
  const models: Record<string, Values> = {};
  const clients: Promise<string>[] = [];
  const join = (site: string): void => {
    const scripted = sites[site] as SwarmSite;
    folders[site] ??= memoryFolder(site);
    const signal = scripted.signal ? AbortSignal.any([stop.signal, scripted.signal]) : stop.signal;
    const common = { site, codecs: referenceCodecs, filters: builtInKit.filters, folder: folders[site], log: silentLogger, signal };
    const memoryUse = () => ({ rssBytes: 1, peakRssBytes: 2 });
    const policy = { filters: [], share: { errors: true, steps: true }, ...scripted.policy };
    const honest = siteLink({ ...common, driver, url, share: policy.share, retryMs: 500 });
    const link: ServerLink = scripted.tampered?.(honest) ?? honest;
    const own = { ...common, policy, bases: scripted.bases ?? [], memory: memoryUse };
    const usual = trainerOf(scripted);
    const offer = async () => ({ model: modelOf(start, scripted.dtype ?? 'F32'), files: {} });
    const ended = runClient({
      ...own,
      link,
      makeTrainer: async () => (scripted.offers === false ? usual : { ...usual, offer }),
      tasks: swarmTasks({
        ...own,
        kit: builtInKit,
        driverFor: () => others,
        ...(scripted.listens !== false && { listen: { driver: others, url: `memory://${site}`, address: scripted.address } }),
        allow: scripted.allow ?? Object.keys(sites),
        onModel: async (model) => {
          models[site] = await valuesOf(model);
        },
      }),
    }).finally(() => link.close());
    ended.catch(() => {});
    clients.push(ended);
  };
  const running = runServer({
    codecs: referenceCodecs,
    log: silentLogger,
    signal: stop.signal,
    listeners: [{ driver, url }],
    job,
    run,
    workflow: workflowOf(job),
    files: {},
    emit: (event) => {
      events.push(event);
      onEvent?.(event);
    },
    onListening: () => Object.keys(sites).forEach(join),
  });
  await Promise.allSettled([running]);
  await Promise.allSettled(clients);
  const result = await running;
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
  return { result, events, warnings, run, folders, models, central, between };
}

/** A site that learns something of its own from what it is given, in each round. */
function site(index: number): ScriptedSite {
  return {
    samples: index + 1,
    learn: (given, round): Values =>
      Object.fromEntries(
        Object.entries(given).map(([name, data]) => [name, data.map((value, i) => 0.9 * value + 0.01 * Math.sin(i * index + round))]),
      ),
    evaluate: (given) => ({ loss: Math.abs(given.w?.[0] ?? 0) + index, samples: 20 + index }),
  };
}

export const sites = (change: Record<string, Partial<SwarmSite>> = {}): Record<string, SwarmSite> =>
  Object.fromEntries(['a', 'b', 'c'].map((name, index) => [name, { ...site(index), ...change[name] }]));

/** A link with some of its requests replaced, for a site that does not keep to the protocol. */
export function changed(link: ServerLink, over: Partial<ServerLink>): ServerLink {
  return new Proxy(link, {
    get(target, key) {
      const value: unknown = key in over ? Reflect.get(over, key) : Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
