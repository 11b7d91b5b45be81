// One site's connection on the server: answers the site's requests and takes in its results.
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { visible } from '../core/visible.js';
import { aboutSchema, failSchema, hasBaseSchema, MANIFEST_FILE, type Memory, progressSchema } from '../exchange/protocol.js';
import { resultFigures, taskOfResult } from '../exchange/result-figures.js';
import { type RetrievedKind, Retriever, type SendWatch } from '../exchange/retriever.js';
import type { ResultFigures } from '../exchange/task.js';
import { RELAY_FEATURE } from '../frame/hello.js';
import { unpack, unpackValue } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import type { Job } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import { type ByteSource, memorySource } from '../stream/source.js';
import { dtypeBytes, elementCount } from '../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import type { TransferFigures } from '../transfer/figures.js';
import type { OpenAsk } from './asks.js';
import type { OfferedObject } from './broadcast.js';
import { jobForSites } from './job-for-sites.js';
import type { Run } from './run.js';
import { fileBytes, manifestBytes } from './served-bytes.js';
import type { SiteBudget } from './site-budget.js';

/** Options of `SiteSession`. */
export interface SiteSessionOptions {
  readonly run: Run;
  /** The job as it is sent to the sites. */
  readonly job: Job;
  readonly files: Readonly<Record<string, string>>;
  readonly emit: EmitEvent;
  /** Reads the memory use of this process, for the figures of transfers. */
  readonly memory?: (() => Memory) | undefined;
  readonly log: Logger;
}

/**
 * Errors of the transfer, not of the result: the site will try again. The same holds for any error
 * that ended the session.
 */
const BROKEN: ReadonlySet<string> = new Set(['closed', 'timeout', 'aborted', 'io', 'checksum', 'digest']);

/** The part of a transfer's figures that is known when the transfer begins. */
interface Sizes {
  readonly round: number;
  readonly fp32Bytes: number;
  readonly ownBytes: number;
}

/**
 * Handles the requests and streams of a session; construct it before the session starts. An error
 * of the peer, or a fault in here, ends its own session only: whatever is called back later is
 * guarded, and needs nothing of the round in which it began.
 */
export class SiteSession {
  readonly #session: Session;
  readonly #options: SiteSessionOptions;
  readonly #stop = new AbortController();
  /** Settles when the streams that the site has opened so far are done. Never rejects. */
  #taking: Promise<void> = Promise.resolve();

  constructor(session: Session, options: SiteSessionOptions) {
    this.#session = session;
    this.#options = options;
    const { run, files } = options;
    run.budgetOf(session.peerName).connected();
    run.comparison.connected(session.peerName, session.peerFeatures.has('about'));
    new Retriever(session, {
      codecs: run.federation.codecs,
      offers: {
        fileSource: (name, signal) => this.#file(name, signal),
        modelSource: async (name, signal) => (await this.#object(name, signal)).prepared.source,
        watch: (kind, name, signal) => this.#watch(kind, name, signal),
      },
      olderRequests: true,
      onOpen: (stream) => {
        const opened = this.#opened(stream);
        this.#taking = this.#taking.then(() => opened);
      },
      handlers: {
        join: () => ({ job: jobForSites(options.job, session.peerFeatures.has(RELAY_FEATURE)), files: Object.keys(files), run: run.name }),
        // A confirmed result may not be on the board yet: without the wait, a quick site would get
        // the same task again.
        next: (_, signal) => this.#taking.then(() => run.board.next(this.#site, signal)),
        about: (body, signal) => this.#within(() => this.#about(body, signal)),
        progress: (body, signal) => this.#within(() => this.#progress(body, signal)),
        evaluated: (body, signal) => this.#evaluated(body, signal),
        fail: (body, signal) => this.#failed(body, signal),
        'has-base': (body, signal) => this.#within(() => this.#hasBase(unpack(body, hasBaseSchema, 'a word on a model').task, signal)),
      },
      onFault: (error) => this.#fault(error),
    });
    void session.closed.then(() => this.#stop.abort(new FedStreamError('closed', `the connection of ${this.#site} ended`)));
  }

  get #site(): string {
    return this.#session.peerName;
  }

  get #asks() {
    return this.#options.run.federation.asks;
  }

  get #budget(): SiteBudget {
    return this.#options.run.budgetOf(this.#site);
  }

  /** The log about this site, which has a budget. */
  get #log(): Logger {
    return this.#budget.log;
  }

  /** Ends the session where the work goes beyond the budget of the site. */
  async #within<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const failure = asFedStreamError(error);
      if (failure.code === 'limit') void this.#session.close(failure).catch(() => {});
      throw failure;
    }
  }

  /** A fault in here that no peer should be able to cause: logged, counted, and this session's end. */
  #fault(error: unknown): void {
    const failure = asFedStreamError(error);
    const message = `the session of ${this.#site} ended by a fault of the server: ${failure.message}`;
    this.#log.error({ site: this.#site, code: failure.code, stack: failure.stack }, message);
    if (this.#budget.fault()) this.#options.emit({ type: 'warning', message });
    void this.#session.close(failure).catch(() => {});
  }

  /** Answers once the site may train. */
  async #about(body: Uint8Array, signal: AbortSignal): Promise<Record<string, never>> {
    const { run } = this.#options;
    const { task, fingerprints } = unpack(body, aboutSchema, 'what a site trains');
    await this.#budget.report();
    await run.board.posted(this.#site, signal);
    if (run.board.open(this.#site, task)) await run.comparison.tell(this.#site, fingerprints, signal);
    return {};
  }

  async #progress(body: Uint8Array, signal: AbortSignal): Promise<Record<string, never>> {
    const { run, emit } = this.#options;
    const { task, steps, memory, alive } = unpack(body, progressSchema, 'a progress report');
    await this.#budget.report();
    await run.board.posted(this.#site, signal);
    const open = run.board.open(this.#site, task);
    if (!open) return {};
    const { recorded, advances } = this.#budget.steps(open, steps);
    if (advances) run.board.advanced(this.#site);
    else if (steps.length > 0 || alive) run.board.progress(this.#site);
    for (const step of recorded) emit({ type: 'step', site: this.#site, round: open.round, ...step });
    if (this.#budget.memory()) emit({ type: 'memory', process: this.#site, ...memory });
    return {};
  }

  /** Only the first failure of a task is logged: it settles the task. */
  async #failed(body: Uint8Array, signal: AbortSignal): Promise<Record<string, never>> {
    const { board } = this.#options.run;
    const { task, code, message } = unpack(body, failSchema, 'a failure report');
    await board.posted(this.#site, signal);
    if (board.open(this.#site, task)) this.#fails(code, message);
    return {};
  }

  #fails(code: string, message: string): void {
    const reason = visible(message, BUDGETS.reasonText.limit);
    this.#log.error({ site: this.#site, code }, reason);
    this.#options.run.board.fail(this.#site, reason);
  }

  async #evaluated(body: Uint8Array, signal: AbortSignal): Promise<Record<string, never>> {
    const { board } = this.#options.run;
    const value = unpackValue(body, 'an evaluation');
    await board.posted(this.#site, signal);
    const task = taskOfResult(value);
    // Figures that name no task are none of the open one either.
    if (task === undefined) resultFigures(value, this.#site);
    const ask = this.#asks.find(this.#site, task);
    if (!ask) return {};
    try {
      const figures = await this.#asks.acceptFigures(ask, resultFigures(value, this.#site), signal);
      if (board.open(this.#site, figures.task)) board.done(this.#site, figures);
      return {};
    } catch (error) {
      const { code, message } = asFedStreamError(error);
      if (code === 'limit' && board.open(this.#site, ask.task.id)) this.#fails(code, message);
      throw error;
    }
  }

  async #file(name: string, signal: AbortSignal): Promise<ByteSource> {
    const { files } = this.#options;
    const text = name === MANIFEST_FILE ? await this.#manifest(signal) : fileBytes(files, name);
    if (text === undefined) throw new FedStreamError('not-found', `the server offers no file ${JSON.stringify(name)}`);
    return memorySource(text);
  }

  /** The manifest of the model that the site's task is about. */
  async #manifest(signal: AbortSignal): Promise<Uint8Array | undefined> {
    await this.#options.run.board.posted(this.#site, signal);
    const manifest = this.#asks.find(this.#site)?.manifest;
    return manifest && manifestBytes(manifest);
  }

  /**
   * Counts a transfer of the manifest's size: the float32 bytes that it is compared with are those
   * of the model that did not travel.
   */
  async #hasBase(task: string, signal: AbortSignal): Promise<Record<string, never>> {
    await this.#options.run.board.posted(this.#site, signal);
    const ask = this.#asks.find(this.#site, task);
    if (!ask?.offer || ask.offer.having.has(this.#site)) return {};
    ask.offer.having.add(this.#site);
    const { held, model } = ask.offer;
    const wireBytes = manifestBytes(held.manifest).length;
    const figures = { wireBytes, objectBytes: wireBytes, seconds: 0, retries: 0, resumedBytes: 0, digest: '' };
    this.#transferred('down', figures, this.#sizes((model.updates ?? []).length === 0 ? held.manifest : undefined, ask));
    return {};
  }

  async #object(name: string, signal: AbortSignal): Promise<OfferedObject> {
    const { run } = this.#options;
    await run.board.posted(this.#site, signal);
    const offered = await run.federation.offers.object(name);
    if (!offered) throw new FedStreamError('not-found', `the server offers no model ${JSON.stringify(name)} now`);
    return offered;
  }

  /**
   * Whatever is recorded of a send is taken when it begins: when it ends, its round may be over and
   * its models closed.
   */
  async #watch(kind: RetrievedKind, name: string, signal: AbortSignal): Promise<SendWatch> {
    const broke = (error: Error): void => this.#log.warn({ site: this.#site, object: name }, `sending was interrupted: ${error.message}`);
    if (kind === 'file') return { signal: this.#stop.signal, broke };
    const ask = this.#asks.find(this.#site);
    const { brings } = await this.#object(name, signal);
    const sizes = this.#sizes(brings, ask);
    const sent = (figures: TransferFigures): void => this.#transferred('down', figures, sizes);
    return { signal: this.#stop.signal, onProgress: (offset) => this.#moved(name, offset), sent, broke };
  }

  /** Records that bytes have moved: an advance only where they had not moved before. */
  #moved(object: string, offset: number): void {
    const { board } = this.#options.run;
    const open = board.open(this.#site);
    if (open && this.#budget.reaches(open, object, offset)) board.advanced(this.#site);
    else board.progress(this.#site);
  }

  /** Takes in a result. Never rejects. */
  async #opened(stream: IncomingStream): Promise<void> {
    try {
      await this.#take(stream);
    } catch (error) {
      this.#fault(error);
    }
  }

  async #take(stream: IncomingStream): Promise<void> {
    const { board } = this.#options.run;
    let task: string | undefined;
    try {
      const meta = stream.meta as { readonly kind?: unknown; readonly figures?: unknown } | null;
      if (meta?.kind !== 'result') throw new FedStreamError('bad-frame', 'a stream was opened that carries no result');
      task = taskOfResult(meta.figures);
      const figures = resultFigures(meta.figures, this.#site);
      await board.posted(this.#site, stream.signal);
      const ask = this.#asks.find(this.#site, task);
      if (!ask) {
        if (await this.#asks.confirmAgain(this.#site, stream, figures.task)) return;
        throw new FedStreamError('refused', `task ${figures.task} is not open for ${this.#site} any more`);
      }
      await this.#accept(ask, stream, figures);
    } catch (error) {
      const failure = asFedStreamError(error);
      await stream.reject(failure);
      this.#log.warn({ site: this.#site, code: failure.code }, `a result of ${this.#site} was not accepted: ${failure.message}`);
      if (task === undefined || this.#session.ended || BROKEN.has(failure.code) || failure.code === 'refused') return;
      if (board.open(this.#site, task)) board.fail(this.#site, visible(failure.message, BUDGETS.reasonText.limit));
    }
  }

  async #accept(ask: OpenAsk, stream: IncomingStream, figures: ResultFigures): Promise<void> {
    const dtypeOf = ownDtypes(ask);
    const accepted = await this.#asks.accept(ask, stream, figures, (offset) => this.#moved(RESULT, offset));
    if (ask.returns !== 'model') this.#transferred('up', accepted.figures, this.#sizes(accepted.manifest, ask, dtypeOf));
    this.#done(figures, ask);
  }

  #done(figures: ResultFigures, { task, returns }: OpenAsk): void {
    const { run, emit } = this.#options;
    if (!run.board.open(this.#site, figures.task)) return;
    const { trainLoss, samples, steps, counts, metrics, personal } = figures;
    if (returns === 'update')
      emit({
        type: 'site-result',
        site: this.#site,
        round: task.round,
        trainLoss,
        samples,
        steps,
        counts,
        metrics,
        ...(personal && { personal }),
      });
    run.board.done(this.#site, figures);
  }

  /**
   * The sizes of a transfer. `manifest` is that of the model that it brings; undefined for an update
   * that is only part of the way to one, which an uncoded run would not send.
   */
  #sizes(manifest: Manifest | undefined, ask: OpenAsk | undefined, dtypeOf = ownDtypes(ask)): Sizes {
    return {
      // Transfers before the first round count for the first round.
      round: Math.max(1, ask?.task.round ?? this.#options.run.federation.round),
      fp32Bytes: manifest ? bytesOf(manifest, () => 'F32') : 0,
      ownBytes: manifest ? bytesOf(manifest, dtypeOf) : 0,
    };
  }

  /** Records a transfer. */
  #transferred(direction: 'down' | 'up', figures: TransferFigures, sizes: Sizes): void {
    const { run, emit, memory } = this.#options;
    const { wireBytes, seconds, retries, resumedBytes } = figures;
    run.federation.traffic.add(direction, wireBytes);
    if (!this.#budget.transfer()) return;
    emit({
      type: 'transfer',
      site: this.#site,
      direction,
      bytes: wireBytes,
      ...sizes,
      seconds,
      retries,
      resumedBytes,
      peakRssBytes: memory?.().peakRssBytes,
    });
  }
}

/** The key of a task's own result among the objects that have moved. */
const RESULT = 'result';

type DtypeOf = (tensor: TensorEntry) => TensorEntry['dtype'];

function ownDtypes(ask: OpenAsk | undefined): DtypeOf {
  return ask?.offer ? notedDtypes(ask.offer.master.manifest) : ({ dtype }) => dtype;
}

function bytesOf({ tensors }: Manifest, dtypeOf: DtypeOf): number {
  return tensors.reduce((sum, tensor) => sum + dtypeBytes(dtypeOf(tensor), elementCount(tensor.shape)), 0);
}
