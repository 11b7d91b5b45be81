// The world of the model-based test: a hub with a job's run, and honest sites that work all along.
import { referenceCodecs } from '../../../src/codec/codec-table.js';
import { masterOf } from '../../../src/codec/float32.js';
import { decodeModel } from '../../../src/codec/quantize.js';
import { Bucket } from '../../../src/core/bucket.js';
import { type Logger, silentLogger } from '../../../src/core/log.js';
import { memoryFolder } from '../../../src/core/memory-folder.js';
import { randomStream } from '../../../src/core/random.js';
import type { Folder } from '../../../src/core/storage.js';
import type { Connection, Driver } from '../../../src/driver/driver.js';
import { contentDigest } from '../../../src/exchange/content-digest.js';
import { type SiteCredentials, siteCredentials } from '../../../src/frame/proof.js';
import { type TokenVerifier, tokenVerifier } from '../../../src/frame/token.js';
import { Hub } from '../../../src/hub/hub.js';
import { addJobRun } from '../../../src/hub/job-run.js';
import type { Job, JobInput } from '../../../src/job/job.js';
import { parseJob } from '../../../src/kit/kit.js';
import { type EventBody, recordedEventSchema } from '../../../src/record/events.js';
import { openGlobalModel, writeGlobalModel } from '../../../src/server/global-models.js';
import { readJournal } from '../../../src/server/journal.js';
import type { RunResult } from '../../../src/server/run.js';
import { runClient } from '../../../src/site/client.js';
import { siteLink } from '../../../src/site/site-link.js';
import { memoryStateDict } from '../../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../../src/tensor/state-dict.js';
import type { Trainer } from '../../../src/trainer/trainer.js';
import { BoardWatch } from './board-watch.js';
import type { Findings } from './findings.js';
import { honestTrainer } from './honest-trainer.js';
import type { Shapes } from './results.js';
import { roundsWith } from './rounds.js';

export const HONEST = ['honest-1', 'honest-2'] as const;
export const INSIDERS = ['mallory-1', 'mallory-2'] as const;

/** A kind of world. */
export interface Setting {
  readonly name: string;
  readonly job: JobInput;
  readonly shapes: Shapes;
  readonly idleMs: number;
}

/** Where a world is: its driver, the address to listen at, and the run's folder. */
export interface Place {
  readonly driver: Driver;
  readonly url: string;
  folder(): Folder;
  /** True where each site proves its name with a token of its own. */
  readonly tokens?: boolean;
}

export interface WorldOptions {
  readonly setting: Setting;
  readonly rounds: number;
  readonly insiders: readonly string[];
  readonly place: Place;
  readonly findings: Findings;
}

/** Bytes and lines of the log, and of the events. */
interface Written {
  lines: number;
  bytes: number;
}

/** A hub with one run. */
export class World {
  readonly watch: BoardWatch;
  readonly job: Job;
  readonly run: Folder;
  /** The rounds that have begun. */
  round = 0;
  /** The rounds whose honest sites may answer. */
  readonly opened = { round: 0 };
  readonly log: Written = { lines: 0, bytes: 0 };
  readonly events: Written = { lines: 0, bytes: 0 };
  /** Digests of the global models, by round. */
  readonly digests: string[] = [];
  result: RunResult | undefined;
  url = '';
  readonly files = { 'config.json': JSON.stringify({ model_type: 'toy', note: 'x'.repeat(300) }) };
  readonly #options: WorldOptions;
  readonly #reports = new Map<string, Bucket>();
  readonly #stop = new AbortController();
  readonly #gates: (() => void)[] = [];
  readonly #hub: Hub;
  readonly #clients: Promise<unknown>[] = [];
  #running: Promise<void> = Promise.resolve();

  private constructor(options: WorldOptions) {
    const { setting, rounds, insiders, findings } = options;
    this.#options = options;
    this.run = options.place.folder();
    this.watch = new BoardWatch(findings, HONEST);
    const sites = [...HONEST, ...insiders];
    const standard = {
      rounds,
      sites,
      seed: 5,
      quorum: HONEST.length,
      stragglerMs: 100,
      graceMs: 100,
      aliveMs: 3_600_000,
      idleMs: setting.idleMs,
    };
    this.job = parseJob({ ...standard, ...setting.job }, 'the model');
    this.#hub = new Hub({ log: this.#logger() });
  }

  /** Starts to listen; the run waits for its sites. */
  static async open(options: WorldOptions): Promise<World> {
    const world = new World(options);
    await world.#open();
    return world;
  }

  get tokens(): boolean | undefined {
    return this.#options.place.tokens;
  }

  /** The credentials of a site; undefined in a world without tokens. */
  credentials(site: string): SiteCredentials | undefined {
    return this.tokens ? siteCredentials(tokenOf(site)) : undefined;
  }

  /** What a site may report without being slowed down, and less. */
  reports(site: string): Bucket {
    const known = this.#reports.get(site) ?? new Bucket({ burst: 500, aSecond: 50 }, () => performance.now());
    this.#reports.set(site, known);
    return known;
  }

  connect(): Promise<Connection> {
    return this.#options.place.driver.connect(this.url);
  }

  /** Lets the honest sites join. */
  join(): void {
    for (const [index, site] of HONEST.entries())
      this.#clients.push(
        this.#client(
          site,
          honestTrainer(index, (round) => this.#gate(round)),
        ),
      );
  }

  /** Lets the honest sites answer in all rounds up to this one. */
  open(round: number): void {
    this.opened.round = round;
    for (const wake of this.#gates.splice(0)) wake();
  }

  /** Ends everything that has not ended. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.open(Number.POSITIVE_INFINITY);
    await this.#hub.close();
    await Promise.allSettled([this.#running, ...this.#clients]);
    this.watch.restore();
  }

  /** What is written can be read. */
  async checkFiles(): Promise<void> {
    const { findings } = this.#options;
    await readJournal(this.run).catch((error: Error) => findings.add('a journal that cannot be read', error.message));
    const rounds = await this.run.list('rounds');
    findings.check(rounds.length === 0, 'files of finished rounds', () => rounds.join(', '));
  }

  async #open(): Promise<void> {
    const { setting, place, insiders, findings } = this.#options;
    await writeGlobalModel(this.run, 0, decodeModel(masterOf(startOf(setting.shapes)), referenceCodecs));
    const options = { codecs: referenceCodecs, log: this.#logger(), signal: this.#stop.signal };
    const workflow = roundsWith({
      honest: HONEST,
      insiders,
      began: async (round, model) => {
        findings.check(round === this.round + 1, 'rounds out of order', () => `${round} after ${this.round}`);
        this.round = round;
        this.digests[round - 1] = await contentDigest(model, referenceCodecs);
      },
      closed: (site, outcome) => this.watch.closed(site, outcome),
    });
    const served = await addJobRun(this.#hub, {
      ...options,
      job: this.job,
      run: this.run,
      files: this.files,
      ...(this.tokens && { admission: { tokens: await verifiers([...HONEST, ...insiders]) } }),
      emit: (event) => this.#emit(event),
      workflow,
    });
    this.url = (await this.#hub.listen(place.driver, place.url)).url;
    this.#running = served.finish().then(
      async (result) => {
        const last = await openGlobalModel(this.run, result.lastRound);
        this.digests[result.lastRound] = await contentDigest(last, referenceCodecs);
        this.result = result;
        await this.#hub.close();
      },
      (error: Error) => {
        if (!this.#stop.signal.aborted) findings.add('the run failed', error.message);
      },
    );
  }

  async #client(site: string, trainer: Trainer): Promise<void> {
    const { place, findings } = this.#options;
    const told = (_: unknown, message: string): void => {
      if (!this.#stop.signal.aborted) findings.add('an honest site was troubled', `${site}: ${message}`);
    };
    const log = { ...silentLogger, warn: told, error: told };
    const common = {
      site,
      codecs: referenceCodecs,
      log,
      driver: place.driver,
      url: this.url,
      signal: this.#stop.signal,
      folder: memoryFolder(site),
    };
    const link = siteLink({ ...common, credentials: this.credentials(site), retryMs: 500 });
    const memory = () => ({ rssBytes: 1, peakRssBytes: 2 });
    try {
      await runClient({ ...common, link, bases: [], memory, makeTrainer: async () => trainer });
    } catch (error) {
      told(undefined, (error as Error).message);
    } finally {
      await link.close();
    }
  }

  async #gate(round: number): Promise<void> {
    while (this.opened.round < round) await new Promise<void>((resolve) => this.#gates.push(resolve));
  }

  #logger(): Logger {
    const line = (fields: object, message: string): void => {
      this.log.lines++;
      this.log.bytes += JSON.stringify(fields).length + message.length;
    };
    return { debug: line, info: line, warn: line, error: line };
  }

  #emit(event: EventBody): void {
    const { findings } = this.#options;
    const text = JSON.stringify(event);
    this.events.lines++;
    this.events.bytes += text.length;
    const { success, error } = recordedEventSchema.safeParse(JSON.parse(text));
    findings.check(success, 'an event that cannot be read', () => `${text.slice(0, 200)}: ${error?.issues[0]?.message}`);
    if ('round' in event) findings.check(event.round <= this.round + 1, 'an event of a later round', () => text.slice(0, 200));
  }
}

/** A token of a site: not random, so that a run can be repeated, and known to nobody else here. */
function tokenOf(site: string): string {
  const random = randomStream(1, 'token', site);
  const digits = Array.from({ length: 32 }, () => random.integer(256).toString(16).padStart(2, '0'));
  return `fedstream-token-1:${site}:${digits.join('')}`;
}

async function verifiers(sites: readonly string[]): Promise<Record<string, TokenVerifier>> {
  return Object.fromEntries(await Promise.all(sites.map(async (site) => [site, await tokenVerifier(tokenOf(site))] as const)));
}

function startOf(shapes: Shapes): StateDict {
  return memoryStateDict(
    Object.entries(shapes).map(([name, shape]) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return { name, dtype: 'F32' as const, shape, data: Float32Array.from({ length }, (_, i) => 0.1 * Math.sin(i + length)) };
    }),
  );
}
