// The world of the model-based test of a site: one site with its folder, a hostile server that it
// takes for its own, and the honest one that comes back in the end.
import { runSite } from '../../../src/api/run-site.js';
import { referenceCodecs } from '../../../src/codec/codec-table.js';
import { masterOf } from '../../../src/codec/float32.js';
import { decodeModel } from '../../../src/codec/quantize.js';
import { asFedStreamError, FedStreamError } from '../../../src/core/errors.js';
import { silentLogger } from '../../../src/core/log.js';
import { memoryFolder } from '../../../src/core/memory-folder.js';
import type { Random } from '../../../src/core/random.js';
import type { Folder } from '../../../src/core/storage.js';
import type { Listener } from '../../../src/driver/driver.js';
import { memory } from '../../../src/driver/memory.js';
import { contentDigest } from '../../../src/exchange/content-digest.js';
import { nextReplySchema } from '../../../src/exchange/protocol.js';
import type { Task } from '../../../src/exchange/task.js';
import { unpack } from '../../../src/frame/pack.js';
import { runServer } from '../../../src/hub/server.js';
import type { Job, JobInput } from '../../../src/job/job.js';
import { builtInKit, parseJob, workflowOf } from '../../../src/kit/kit.js';
import { openGlobalModel, writeGlobalModel } from '../../../src/server/global-models.js';
import { jobForSites } from '../../../src/server/job-for-sites.js';
import { pick } from './chance.js';
import type { Findings } from './findings.js';
import { UNFORESEEN } from './insider.js';
import type { SiteObjects } from './site-objects.js';
import { SitePeer } from './site-peer.js';
import { ROUNDS } from './site-tasks.js';
import { SECRET, watchedTrainer } from './site-trainer.js';

/** A kind of hostile server. */
export interface SiteSetting {
  readonly name: string;
  readonly job: JobInput;
  /**
   * False where the server breaks rules of the protocol alone, and its jobs, tasks and models are
   * good: the same run of the site then goes on with the honest server.
   */
  readonly lies: boolean;
}

const URL = 'memory://site';
const DISK_BYTES = 4 * 2 ** 20;
/** State beside models: digests, names, and the answers that were counted. */
const STATE_BYTES = 256 * 1024;
/** Parts of 256 updates and their state. */
const MOST_FILES = 4 * 258;
export const RETRY_MS = 2_000;
/** A site whose server is gone gives up after its retry time and a pause. */
export const MOST_RETRY_MS = RETRY_MS + 6_000;
/** Far more than the tasks of an epoch where nothing is to be refused. */
const MANY_REPEATS = 100_000;
const MOST_REPEATS = 3;

export class SiteWorld {
  readonly idleMs = 2_000;
  readonly run = 'run-1';
  readonly job: object;
  readonly objects: SiteObjects;
  readonly peers: SitePeer[] = [];
  readonly folder = memoryFolder('site');
  /** The task that the site was given last. */
  given: Task | undefined;
  lastTask: Task | undefined;
  nextTask = 0;
  isRunning = false;
  isListening = false;
  readonly #job: Job;
  readonly #setting: SiteSetting;
  readonly #findings: Findings;
  readonly #random: Random;
  readonly #driver = memory();
  #listener: Listener | undefined;
  #stop = new AbortController();
  #site: Promise<void> = Promise.resolve();
  #runJoined = '';
  /** The model that the last training of a task was about, and those that were answered, by round. */
  readonly #contents = new Map<string, { readonly key: string; readonly content: string }>();
  readonly #answered = new Map<string, Set<string>>();

  constructor(setting: SiteSetting, objects: SiteObjects, findings: Findings, random: Random) {
    this.#setting = setting;
    this.objects = objects;
    this.#findings = findings;
    this.#random = random;
    const input = { rounds: ROUNDS, sites: ['site'], seed: 5, quorum: 1, quantize: 'fp32', trainer: { name: 'toy' }, idleMs: this.idleMs };
    this.#job = parseJob({ ...input, ...setting.job } as JobInput, 'the job');
    this.job = jobForSites(this.#job);
  }

  get lies(): boolean {
    return this.#setting.lies;
  }

  async listen(): Promise<void> {
    if (this.isListening) return;
    this.isListening = true;
    const { listen } = this.#driver;
    if (!listen) throw new FedStreamError('unsupported', 'memory listens');
    const options = { findings: this.#findings, secret: SECRET, answered: (task: string) => this.answered(task) };
    this.#listener = await listen(URL, (connection) => void this.peers.push(new SitePeer(connection, options)));
  }

  /** Ends all connections, and takes no further one. */
  async deafen(): Promise<void> {
    this.isListening = false;
    await this.#listener?.close();
    for (const peer of this.peers.splice(0)) await peer.close();
  }

  /** Starts the site, unless it runs. */
  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.#stop = new AbortController();
    this.#site = this.#runSite(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new FedStreamError('aborted', 'the test stops the site'));
    await this.#site;
  }

  /** Notes that figures or a result of a task have left the site. */
  answered(task: string): void {
    const about = this.#contents.get(task);
    if (!about) return;
    const models = this.#answered.get(about.key) ?? new Set();
    models.add(about.content);
    this.#answered.set(about.key, models);
    const most = this.lies ? MOST_REPEATS : MANY_REPEATS;
    this.#findings.check(models.size <= most, 'one round was done for more models than allowed', () => `${about.key}: ${models.size}`);
    if (models.size === most) this.#findings.count('all repeats used');
  }

  /** The task that the site makes of the body of a reply. */
  parsedTask(body: Uint8Array): Task | undefined {
    try {
      const next = unpack(body, nextReplySchema, 'a task');
      return 'task' in next ? next.task : undefined;
    } catch {
      return undefined;
    }
  }

  bytesOf(name: string, kind: string, random: Random): Uint8Array | undefined {
    const { bytes, models } = this.objects;
    if (name === 'changing') return bytes.get(pick(random, models).whole);
    return bytes.get(name) ?? (kind === 'file' ? bytes.get('text') : undefined);
  }

  /** Little is kept, whatever the server sends. */
  async checkFolder(): Promise<void> {
    const { files, bytes } = await sizeOf(this.folder);
    this.#findings.check(bytes <= DISK_BYTES + STATE_BYTES, 'the folder of the site grew', () => `${bytes} bytes in ${files} files`);
    this.#findings.check(files <= MOST_FILES, 'the folder of the site has many files', () => `${files}`);
  }

  /** The honest server takes over; resolves with the digest of the model in the end. */
  async finish(pass: () => Promise<void>, mostMs: number): Promise<string | undefined> {
    await this.deafen();
    if (this.lies) await passing(pass, mostMs, this.stop());
    this.given = undefined;
    const run = memoryFolder('run');
    await writeGlobalModel(run, 0, decodeModel(masterOf(this.objects.start), referenceCodecs));
    const stop = new AbortController();
    let digest: string | undefined;
    const common = {
      codecs: referenceCodecs,
      filters: builtInKit.filters,
      log: silentLogger,
      signal: stop.signal,
      files: {},
      emit: () => {},
    };
    const workflow = workflowOf(this.#job, builtInKit);
    const listeners = [{ driver: this.#driver, url: URL }];
    let isOver = false;
    this.isHonest = true;
    const running = runServer({ ...common, job: this.#job, run, workflow, listeners, onListening: () => this.start() })
      .then(async ({ lastRound }) => {
        const model = await openGlobalModel(run, lastRound);
        digest = await contentDigest(model, referenceCodecs);
      })
      .catch((error: Error) => {
        if (!stop.signal.aborted) this.#findings.add('the honest run failed', error.message);
      })
      .finally(() => {
        isOver = true;
      });
    const endMs = performance.now() + mostMs;
    while (!isOver && performance.now() < endMs) {
      await pass();
      this.start(); // one that the hostile server had told to stop, or to fail
    }
    this.#findings.check(isOver, 'the site hangs', () => `the honest run is not over after ${mostMs} ms`);
    stop.abort();
    await passing(pass, mostMs, Promise.all([running, this.stop()]));
    this.#findings.check(!this.isRunning, 'the site does not stop', () => 'it was told to');
    return digest;
  }

  /** True once the server is the honest one: nothing is a lie any more. */
  isHonest = false;

  async #runSite(signal: AbortSignal): Promise<void> {
    const log = silentLogger;
    const common = { site: 'site', driver: this.#driver, url: URL, codecs: referenceCodecs, folder: this.folder, log, signal };
    const limits = { codecs: ['fp32'], mostRepeats: this.lies ? MOST_REPEATS : MANY_REPEATS };
    try {
      await runSite({
        ...common,
        retryMs: RETRY_MS,
        diskBytes: DISK_BYTES,
        policy: { filters: [], limits },
        memory: () => ({ rssBytes: 1, peakRssBytes: 2 }),
        makeTrainer: async ({ job, run }) => {
          if (run !== this.#runJoined) this.#answered.clear();
          this.#runJoined = run;
          this.#findings.count('joined');
          return watchedTrainer({
            job,
            findings: this.#findings,
            current: () => this.given,
            used: (task, content) => this.#contents.set(task.id, { key: `${task.kind}-${task.round}`, content }),
            fails: () => !this.isHonest && this.#random.uniform() < 0.1,
            isWatched: () => !this.isHonest,
          });
        },
        onFailure: (error) => this.#clear(error, 'the failure of a task'),
      });
      this.#findings.count('site stopped');
    } catch (error) {
      this.#findings.check(error instanceof FedStreamError, 'an error that is none of ours', () => String(error));
      if (!signal.aborted) this.#clear(asFedStreamError(error), 'the end of the site');
    }
    this.isRunning = false;
  }

  #clear({ code, message }: FedStreamError, what: string): void {
    this.#findings.count(`${what}: ${code}`);
    this.#findings.check(message.trim() !== '' && !UNFORESEEN.test(message), 'an unforeseen error', () => `${what}: ${code} ${message}`);
  }
}

/** Lets time pass until something is over, or for so many milliseconds. */
async function passing(pass: () => Promise<void>, mostMs: number, what: Promise<unknown>): Promise<void> {
  let isOver = false;
  void what.finally(() => {
    isOver = true;
  });
  for (const endMs = performance.now() + mostMs; !isOver && performance.now() < endMs; ) await pass();
}

async function sizeOf(folder: Folder): Promise<{ files: number; bytes: number }> {
  let [files, bytes] = [0, 0];
  for (const name of await folder.list()) {
    const size = await folder.sizeBytes(name);
    const inner = size === undefined ? await sizeOf(folder.folder(name)) : { files: 1, bytes: size };
    files += inner.files;
    bytes += inner.bytes;
  }
  return { files, bytes };
}
