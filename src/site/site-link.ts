// A site's link to its server: one connection at a time, made again when it breaks.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, type ErrorCode, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { memoryFolder } from '../core/memory-folder.js';
import type { Table } from '../core/row.js';
import type { Folder } from '../core/storage.js';
import { readText } from '../core/storage-text.js';
import { within } from '../core/within.js';
import type { Driver } from '../driver/driver.js';
import { joinReplySchema, MANIFEST_FILE, type Memory, nextReplySchema } from '../exchange/protocol.js';
import { Retriever } from '../exchange/retriever.js';
import type { NextTask, ResultFigures, Task } from '../exchange/task.js';
import type { Filter } from '../filter/filter.js';
import { RELAY_FEATURE } from '../frame/hello.js';
import type { SiteCredentials } from '../frame/proof.js';
import { Session } from '../frame/session.js';
import { type Sides, whichIsOlder, withAdvice } from '../frame/which-is-older.js';
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
import { ServerConnection } from './server-connection.js';
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
  /**
   * Milliseconds for which a server that cannot be reached is looked for, each time; 600,000 by
   * default, `Infinity` for ever. Training goes on meanwhile.
   */
  readonly retryMs?: number | undefined;
  /** Features that the site says in its hello beside those of this code. */
  readonly features?: readonly string[] | undefined;
}

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
  readonly #connection: ServerConnection<Live>;
  #job: Job | undefined;
  /** The unique name of the run that was joined, its folder, and its spools. */
  #run: string | undefined;
  #place: { readonly folder: Folder; readonly spools: FetchedSpools } | undefined;
  #sides: Sides | undefined;

  constructor(options: SiteLinkOptions) {
    this.#options = options;
    this.#connection = new ServerConnection({ ...options, connect: (signal, found) => this.#connect(signal, found) });
  }

  get signal(): AbortSignal {
    return this.#connection.signal;
  }

  /** Nothing but this text of an error leaves, on whatever way: bye, refusals and resets. */
  readonly #tell = (error: FedStreamError): string => siteTold(error, this.#options.share ?? DEFAULT_SHARE);

  async join(): Promise<Joined> {
    const { reply, sides } = await this.#retrying(async (live) => {
      const reply = await this.#ask(live, 'join', {}, joinReplySchema);
      return { reply, sides: serverSide(live.session) };
    });
    const job = this.#checked(reply.job, sides);
    this.#job = job;
    this.#run = reply.run;
    this.#sides = sides;
    const { folder, diskBytes, log, places } = this.#options;
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

  /** A job that cannot be read here, though the server can, is of another release or another kit. */
  #checked(value: unknown, sides: Sides): Job {
    const { codecs, filters } = this.#options;
    try {
      return checkedJob(value, 'the job that the server sent', { codecs, ...(filters && { filters }) });
    } catch (error) {
      throw error instanceof FedStreamError && error.code === 'bad-job' ? withAdvice(error, sides) : error;
    }
  }

  async fetchManifest(): Promise<Manifest> {
    const text = await this.#retrying((live) => this.#fetchFile(live, MANIFEST_FILE, BUDGETS.offeredManifestBytes.limit));
    return parseManifest(new TextEncoder().encode(text), 'the global model');
  }

  async hasBase(task: string): Promise<void> {
    await this.#retrying(({ messages }) => messages.request('has-base', { task }, nothing));
  }

  next(): Promise<NextTask> {
    return this.#retrying((live) => this.#ask(live, 'next', {}, nextReplySchema));
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
        // What a crash of the machine takes is fetched again, up to the last leaf that is whole.
        retriever.model(object, { folder, name, durable: false, maxBytes, limits, room, expect }),
      );
      const release = async (): Promise<void> => {
        await model.close?.();
        await folder.remove(name);
      };
      return { model, figures, release };
    } catch (error) {
      if (!isTransient(error, this.signal)) await spools.remove(name);
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
    const { signal } = this;
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

  older(): string | undefined {
    return this.#sides && whichIsOlder(this.#sides);
  }

  close(reason?: FedStreamError): Promise<void> {
    return this.#connection.close(reason);
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
   * Does work over a live connection. When it breaks, the work is done again over the next one, which
   * all work waits for together.
   */
  async #retrying<T>(work: (live: Live) => Promise<T>): Promise<T> {
    for (let damaged = 0; ; ) {
      const live = await this.#connection.live();
      try {
        return await work(live);
      } catch (error) {
        if (this.signal.aborted) throw this.signal.reason;
        const failure = asFedStreamError(error);
        const { ended: sessionEnded } = live.session;
        const forEver = this.#options.retryMs === Number.POSITIVE_INFINITY;
        if (!isWorthARetry(failure, { damaged, sessionEnded, found: true, forEver })) throw failure;
        if (failure.code !== 'closed' && failure.code !== 'timeout') damaged++;
        await this.#connection.lost(live, failure);
      }
    }
  }

  /** Asks one thing; a reply that this side cannot read is of another release, since frames have checks against damage. */
  async #ask<T>({ session, messages }: Live, name: string, body: unknown, reply: z.ZodType<T>): Promise<T> {
    try {
      return await messages.request(name, body, reply);
    } catch (error) {
      if (session.ended || !(error instanceof FedStreamError) || error.code !== 'bad-frame') throw error;
      throw withAdvice(new FedStreamError('unsupported', error.message, { cause: error }), serverSide(session));
    }
  }

  /**
   * One try. Where no session begins at an address that was never right, it finds out what else
   * listens there; so it does, while it waits on, where nothing happens for some seconds.
   */
  async #connect(signal: AbortSignal, found: boolean): Promise<Live> {
    if (found) return this.#begin(signal);
    const { driver, url } = this.#options;
    const stop = new AbortController();
    const trying = this.#begin(AbortSignal.any([signal, stop.signal]));
    try {
      if (await within(trying, SILENT_MS)) return await trying;
      const other = await driver.identify?.(url, { signal });
      if (other) stop.abort(other);
      else if (!(await within(trying, HELLO_MS)))
        stop.abort(new FedStreamError('timeout', `${url} did not say hello for ${HELLO_MS / 1000} s; is it the FedStream server?`));
      return await trying;
    } catch (error) {
      const failure = asFedStreamError(error);
      if (signal.aborted || stop.signal.aborted || !MAY_BE_ELSEWHERE.has(failure.code)) throw failure;
      throw (await driver.identify?.(url, { signal })) ?? failure;
    }
  }

  async #begin(signal: AbortSignal): Promise<Live> {
    const { driver, url, site, credentials, run, features } = this.#options;
    const connection = await driver.connect(url, { signal });
    const session = new Session(connection, { name: site, idleMs: this.#job?.idleMs, credentials, run, features, tell: this.#tell });
    const retriever = new Retriever(session, { codecs: this.#options.codecs });
    const { messages, streams } = retriever;
    const live = { session, messages, streams, retriever };
    const stopped = (): void => void session.close(asFedStreamError(signal.reason, 'aborted'));
    signal.addEventListener('abort', stopped, { once: true });
    if (signal.aborted) stopped();
    try {
      await session.start();
      await this.#check(live);
      return live;
    } catch (error) {
      await session.close();
      throw error;
    } finally {
      signal.removeEventListener('abort', stopped);
    }
  }

  /** Refuses a server that is too old, and one that has another run now: what is done here is for the first. */
  async #check({ session, messages }: Live): Promise<void> {
    const { url, features = [] } = this.#options;
    if (features.includes(RELAY_FEATURE) && !session.peerFeatures.has('relays'))
      throw new FedStreamError('unsupported', `the server at ${url} is too old for a relay; update FedStream there first`);
    if (!session.peerFeatures.has('retrieve'))
      throw new FedStreamError('unsupported', `the server at ${url} is too old for this site; update FedStream there first`);
    const run = this.#run;
    if (run === undefined) return;
    const now = await messages.request('join', {}, joinReplySchema);
    if (now.run !== run)
      throw new FedStreamError(
        'refused',
        `the server at ${url} has another run now, ${now.run}, and this site works for ${run}: start the server with --resume to go on with that one, or start this site again for the new one`,
      );
  }
}

/** Errors before the first session that something else than the server may cause. */
const MAY_BE_ELSEWHERE: ReadonlySet<ErrorCode> = new Set(['closed', 'timeout', 'bad-frame', 'limit', 'bad-argument']);
/** A server says hello at once: after so long, something else may be there. */
const SILENT_MS = 2_000;
/** As long as a handshake may take. */
const HELLO_MS = BUDGETS.handshakeMs.limit;

function serverSide({ peerRelease }: Session): Sides {
  return { peer: 'the server', release: peerRelease };
}
