// A site's link to its server: one connection at a time, made again when it breaks.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { readText } from '../core/storage-text.js';
import type { Driver } from '../driver/driver.js';
import { joinReplySchema, MANIFEST_FILE, type Memory, nextReplySchema } from '../exchange/protocol.js';
import { Retriever } from '../exchange/retriever.js';
import type { NextTask, ResultFigures, Task } from '../exchange/task.js';
import type { Filter } from '../filter/filter.js';
import type { SiteCredentials } from '../frame/proof.js';
import { Session } from '../frame/session.js';
import { checkedJob, type Job } from '../job/job.js';
import type { Messages } from '../message/messages.js';
import type { Streams } from '../stream/streams.js';
import type { Manifest } from '../tensor/manifest.js';
import { parseManifest } from '../tensor/manifest-json.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { Fingerprints } from '../trainer/fingerprints.js';
import type { StepReport } from '../trainer/trainer.js';
import type { TransferFigures } from '../transfer/figures.js';
import { type Prepared, prepareModel, sendPrepared } from '../transfer/send.js';
import { type SpoolInfo, spoolSource } from '../transfer/spool.js';
import { enterRun } from './earlier-runs.js';
import { type FetchedKind, FetchedSpools } from './fetched-spools.js';
import { dropResult, keepResult, keptResult, RESULT_SPOOL } from './kept-result.js';
import type { FetchBounds } from './model-bounds.js';
import { folderOfRun, nameOfRun, type RunPlaces } from './run-place.js';
import type { Joined, ReceivedModel, ServerLink, WriteResult } from './server-link.js';
import { DEFAULT_SHARE, type SiteShare } from './share.js';
import { siteTold } from './told.js';
import { isTransient, isWorthARetry } from './transient-errors.js';

/** Options of `siteLink`. */
export interface SiteLinkOptions {
  readonly site: string;
  readonly driver: Driver;
  readonly url: string;
  /** Prove the site's name to the server, where it has no certificate (`siteCredentials`). */
  readonly credentials?: SiteCredentials | undefined;
  /** The run to join, where the server has several. */
  readonly run?: string | undefined;
  readonly codecs: CodecTable;
  /** The filters that the job may name; by default the built-in ones. */
  readonly filters?: Table<Filter> | undefined;
  /** The site's own folder, in which each run has one for its spools. */
  readonly folder: Folder;
  /**
   * The most bytes of all that a server makes this site keep in its folder; by default half of the
   * space that is free on its disk.
   */
  readonly diskBytes?: number | undefined;
  /** Keeps other processes out of the folders of runs. */
  readonly places?: RunPlaces | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The choices of the site's owner on what leaves; by default no words of errors do. */
  readonly share?: Pick<SiteShare, 'errors'> | undefined;
  /** Milliseconds for which a server that cannot be reached is tried again; 60,000 by default. */
  readonly retryMs?: number;
}

const DEFAULT_RETRY_MS = 60_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
const nothing = z.object({});

/** A connection and what runs over it. */
interface Live {
  readonly session: Session;
  readonly messages: Messages;
  readonly streams: Streams;
  readonly retriever: Retriever;
}

function spooled(folder: Folder, info: SpoolInfo): Prepared {
  return { source: spoolSource(folder, RESULT_SPOOL, info), release: () => folder.remove(RESULT_SPOOL) };
}

/** Makes a server link over any driver. */
export function siteLink(options: SiteLinkOptions): ServerLink {
  return new SiteLink(options);
}

class SiteLink implements ServerLink {
  readonly #options: SiteLinkOptions;
  #live: Promise<Live> | undefined;
  #job: Job | undefined;
  /** The folder of the run that was joined, and its spools. */
  #place: { readonly folder: Folder; readonly spools: FetchedSpools } | undefined;

  constructor(options: SiteLinkOptions) {
    this.#options = options;
  }

  /** Nothing but this text of an error leaves, on whatever way: bye, refusals and resets. */
  readonly #tell = (error: FedStreamError): string => siteTold(error, this.#options.share ?? DEFAULT_SHARE);

  async join(): Promise<Joined> {
    const reply = await this.#retrying(({ messages }) => messages.request('join', {}, joinReplySchema));
    const { codecs, filters, folder, diskBytes, log, places } = this.#options;
    const job = checkedJob(reply.job, 'the job that the server sent', { codecs, ...(filters && { filters }) });
    this.#job = job;
    const spools = new FetchedSpools(folder, reply.run, diskBytes);
    this.#place = { folder: folderOfRun(folder, reply.run), spools };
    places?.enter(nameOfRun(reply.run));
    const most = await spools.mostBytes();
    await enterRun(folder, { run: reply.run, job: job.name }, { log, mostBytes: most && most / 2, inUse: places?.inUse });
    const files: Record<string, string> = {};
    let left = BUDGETS.modelTextBytes.limit;
    for (const name of reply.files) {
      const text = await this.#retrying((live) => this.#fetchFile(live, name, left));
      files[name] = text;
      left -= text.length;
    }
    return { job, files, run: reply.run };
  }

  async fetchManifest(): Promise<Manifest> {
    const text = await this.#retrying((live) => this.#fetchFile(live, MANIFEST_FILE, BUDGETS.offeredManifestBytes.limit));
    return parseManifest(new TextEncoder().encode(text), 'the global model');
  }

  async hasBase(task: string): Promise<void> {
    await this.#retrying(({ messages }) => messages.request('has-base', { task }, nothing));
  }

  next(): Promise<NextTask> {
    return this.#retrying(({ messages }) => messages.request('next', {}, nextReplySchema));
  }

  async about(task: string, fingerprints: Fingerprints): Promise<void> {
    try {
      await this.#retrying(({ messages }) => messages.request('about', { task, fingerprints }, nothing));
    } catch (error) {
      if (asFedStreamError(error).code !== 'unsupported') throw error;
      this.#options.log.warn({ task }, 'the server is too old to compare what its sites train');
    }
  }

  async progress(report: { task: string; steps: readonly StepReport[]; memory: Memory; alive: boolean }): Promise<void> {
    await this.#retrying(({ messages }) => messages.request('progress', report, nothing));
  }

  async fail(task: string, code: string, message: string): Promise<void> {
    await this.#retrying(({ messages }) => messages.request('fail', { task, code, message: message.slice(0, 4000) }, nothing));
  }

  async fetchModel(object: string, among: readonly string[], bounds: FetchBounds): Promise<ReceivedModel> {
    return this.#fetch('received', object, among, bounds);
  }

  async fetchExtras(object: string, bounds: FetchBounds): Promise<ReceivedModel> {
    return this.#fetch('extras', object, [object], bounds);
  }

  /** Fetches an object of a kind. Spools of that kind left over from other objects are removed. */
  async #fetch(kind: FetchedKind, object: string, among: readonly string[], bounds: FetchBounds): Promise<ReceivedModel> {
    const { mode, folder, spools } = this.#spooling();
    const name = spools.name(kind, object);
    await spools.keepOnly(kind, among);
    const room = mode === 'regular' ? undefined : await spools.room();
    const expect = async (manifest: Manifest): Promise<void> => {
      // The model lies beside its spool once it is decoded.
      (await room?.take(bounds.expect(manifest), `${object}, decoded,`))?.release();
    };
    const { maxBytes, limits } = bounds;
    try {
      const { model, figures } = await this.#retrying(({ retriever }) =>
        retriever.model(object, { folder, name, maxBytes, limits, room, expect }),
      );
      const release = async (): Promise<void> => {
        await model.close?.();
        await folder.remove(name);
      };
      return { model, figures, release };
    } catch (error) {
      if (!isTransient(error, this.#options.signal)) await spools.remove(name);
      throw error;
    }
  }

  async sendResult(task: Task, figures: ResultFigures, result: StateDict | WriteResult | undefined): Promise<TransferFigures | undefined> {
    if (!result) {
      await this.#retrying(({ messages }) => messages.request('evaluated', figures, nothing));
      return undefined;
    }
    const { mode, folder } = this.#spooling();
    await dropResult(folder);
    // The result is coded once and sent as often as needed. When it is coded while it is sent, its
    // unique name tells it apart from other results.
    const id = `${task.id}-${crypto.randomUUID()}`;
    const prepared =
      typeof result === 'function'
        ? spooled(folder, await result({ folder, name: RESULT_SPOOL }))
        : await prepareModel(result, this.#options.codecs, mode, folder, RESULT_SPOOL, id);
    if (prepared.source.digest !== undefined) await keepResult(folder, task, figures, prepared.source.digest);
    return this.#sendPrepared(figures, prepared);
  }

  async sendKept(task: Task): Promise<TransferFigures | undefined> {
    const { folder } = this.#spooling();
    const kept = await keptResult(folder, task);
    if (!kept) return undefined;
    this.#options.log.info({ task: task.id }, 'sending the result that was made before this process began');
    return this.#sendPrepared(kept.figures, { source: spoolSource(folder, RESULT_SPOOL, kept.info), release: async () => {} });
  }

  /**
   * Sends a result. It is dropped once the server has stored or refused it, but kept after a
   * transient error.
   */
  async #sendPrepared(figures: ResultFigures, prepared: Prepared): Promise<TransferFigures> {
    const { signal } = this.#options;
    const { folder } = this.#spooling();
    const drop = async (): Promise<void> => {
      await prepared.release();
      await dropResult(folder);
    };
    try {
      const sent = await this.#retrying(({ streams }) => sendPrepared(streams, { kind: 'result', figures }, prepared, { signal }));
      await drop();
      return sent;
    } catch (error) {
      if (!isTransient(error, signal)) await drop();
      throw error;
    }
  }

  async close(reason?: FedStreamError): Promise<void> {
    const live = await this.#live?.catch(() => undefined);
    await live?.session.close(reason);
  }

  #spooling() {
    const place = this.#place;
    if (!place) throw new FedStreamError('internal', 'nothing is fetched or sent before a run was joined');
    const mode = this.#job?.streaming ?? 'file';
    return { mode, folder: mode === 'regular' ? memoryFolder('spool') : place.folder, spools: place.spools };
  }

  async #fetchFile({ retriever }: Live, name: string, maxBytes: number): Promise<string> {
    const folder = memoryFolder('files');
    await retriever.file(name, { folder, as: 'file', maxBytes });
    return (await readText(folder, 'file', maxBytes)) as string;
  }

  /**
   * Does work over a live connection. When the connection breaks, reconnects with growing pauses
   * until the time limit.
   */
  async #retrying<T>(work: (live: Live) => Promise<T>): Promise<T> {
    const { signal, log, retryMs = DEFAULT_RETRY_MS } = this.#options;
    let pauseMs = FIRST_PAUSE_MS;
    let failingSinceMs: number | undefined;
    let damaged = 0;
    for (;;) {
      signal.throwIfAborted();
      let connected = false;
      let mine: Promise<Live> | undefined;
      try {
        this.#live ??= this.#connect();
        mine = this.#live;
        const live = await mine;
        connected = true;
        return await work(live);
      } catch (error) {
        const failure = asFedStreamError(signal.aborted ? signal.reason : error);
        const ended = (await mine?.catch(() => undefined))?.session.ended ?? true;
        if (signal.aborted || !isWorthARetry(failure, damaged, ended)) throw failure;
        if (failure.code !== 'closed' && failure.code !== 'timeout') damaged++;
        await this.#letGo(mine);
        if (connected || failingSinceMs === undefined) failingSinceMs = performance.now();
        if (performance.now() - failingSinceMs > retryMs) throw failure;
        log.warn(
          { code: failure.code },
          `${failure.message}; trying again for ${Math.ceil((retryMs - (performance.now() - failingSinceMs)) / 1000)} s`,
        );
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        pauseMs = connected ? FIRST_PAUSE_MS : Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      }
    }
  }

  /** Closes a connection that damaged data, and forgets one that is gone. */
  async #letGo(mine: Promise<Live> | undefined): Promise<void> {
    if (this.#live === mine) this.#live = undefined; // another call may have reconnected already
    const live = await mine?.catch(() => undefined);
    await live?.session.close();
  }

  async #connect(): Promise<Live> {
    const { driver, url, site, signal, credentials, run } = this.#options;
    const connection = await driver.connect(url, { signal });
    const session = new Session(connection, { name: site, idleMs: this.#job?.idleMs, signal, credentials, run, tell: this.#tell });
    const retriever = new Retriever(session, { codecs: this.#options.codecs });
    await session.start();
    if (!session.peerFeatures.has('retrieve')) {
      await session.close();
      throw new FedStreamError('unsupported', `the server at ${url} is too old for this site; update FedStream there first`);
    }
    const { messages, streams } = retriever;
    return { session, messages, streams, retriever };
  }
}
