// One site's connection on the server: answers the site's requests and takes in its results.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { failSchema, hasBaseSchema, MANIFEST_FILE, type Memory, progressSchema, resultStreamSchema } from '../exchange/protocol.js';
import { type RetrievedKind, Retriever, type SendWatch } from '../exchange/retriever.js';
import { type ResultFigures, resultSchema } from '../exchange/task.js';
import { unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import type { Job } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import { type ByteSource, memorySource } from '../stream/source.js';
import { dtypeBytes, elementCount } from '../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import { encodeManifest } from '../tensor/manifest-json.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import type { TransferFigures } from '../transfer/figures.js';
import type { OpenAsk } from './asks.js';
import type { OfferedObject } from './broadcast.js';
import type { Run } from './run.js';

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

/**
 * Handles the requests and streams of a session; construct it before the session starts. An error
 * of the peer ends its own session only.
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
    new Retriever(session, {
      codecs: run.federation.codecs,
      offers: {
        fileSource: (name) => this.#file(name),
        modelSource: async (name) => (await this.#object(name)).prepared.source,
        watch: (kind, name) => this.#watch(kind, name),
      },
      olderRequests: true,
      onOpen: (stream) => {
        const opened = this.#opened(stream);
        this.#taking = this.#taking.then(() => opened);
      },
      handlers: {
        join: () => ({ job: forSites(options.job), files: Object.keys(files), run: run.name }),
        // A confirmed result may not be on the board yet: without the wait, a quick site would get
        // the same task again.
        next: () => this.#taking.then(() => run.board.next(this.#site)),
        progress: (body) => this.#progress(body),
        evaluated: (body) => this.#evaluated(body),
        fail: (body) => this.#failed(body),
        'has-base': (body) => this.#hasBase(unpack(body, hasBaseSchema, 'a word on a model').task),
      },
    });
    void session.closed.then(() => this.#stop.abort(new FedStreamError('closed', `the connection of ${this.#site} ended`)));
  }

  get #site(): string {
    return this.#session.peerName;
  }

  get #asks() {
    return this.#options.run.federation.asks;
  }

  async #progress(body: Uint8Array): Promise<Record<string, never>> {
    const { run, emit } = this.#options;
    const { task, steps, memory, alive } = unpack(body, progressSchema, 'a progress report');
    await run.board.posted(this.#site);
    const open = run.board.open(this.#site, task);
    if (!open) return {};
    if (steps.length > 0 || alive) run.board.progress(this.#site);
    for (const step of steps) emit({ type: 'step', site: this.#site, round: open.round, ...step });
    emit({ type: 'memory', process: this.#site, ...memory });
    return {};
  }

  async #failed(body: Uint8Array): Promise<Record<string, never>> {
    const { run, log } = this.#options;
    const { task, code, message } = unpack(body, failSchema, 'a failure report');
    log.error({ site: this.#site, code }, message);
    await run.board.posted(this.#site);
    if (run.board.open(this.#site, task)) run.board.fail(this.#site, message);
    return {};
  }

  async #evaluated(body: Uint8Array): Promise<Record<string, never>> {
    const { board } = this.#options.run;
    const figures = unpack(body, resultSchema, 'an evaluation');
    await board.posted(this.#site);
    const ask = this.#asks.find(this.#site, figures.task);
    if (!ask) return {};
    await this.#asks.acceptFigures(ask, figures);
    board.done(this.#site, figures);
    return {};
  }

  async #file(name: string): Promise<ByteSource> {
    const { files } = this.#options;
    const text =
      name === MANIFEST_FILE ? await this.#manifest() : Object.hasOwn(files, name) ? new TextEncoder().encode(files[name]) : undefined;
    if (text === undefined) throw new FedStreamError('not-found', `the server offers no file ${JSON.stringify(name)}`);
    return memorySource(text);
  }

  /** The manifest of the model that the site's task is about. */
  async #manifest(): Promise<Uint8Array | undefined> {
    await this.#options.run.board.posted(this.#site);
    const offer = this.#asks.find(this.#site)?.offer;
    return offer && encodeManifest(offer.held.manifest);
  }

  /**
   * Counts a transfer of the manifest's size: the float32 bytes that it is compared with are those
   * of the model that did not travel.
   */
  async #hasBase(task: string): Promise<Record<string, never>> {
    await this.#options.run.board.posted(this.#site);
    const ask = this.#asks.find(this.#site, task);
    if (!ask?.offer || ask.offer.having.has(this.#site)) return {};
    ask.offer.having.add(this.#site);
    const { held, model } = ask.offer;
    const wireBytes = encodeManifest(held.manifest).length;
    const figures = { wireBytes, objectBytes: wireBytes, seconds: 0, retries: 0, resumedBytes: 0, digest: '' };
    this.#transferred('down', figures, (model.updates ?? []).length === 0 ? held.manifest : undefined, ask);
    return {};
  }

  async #object(name: string): Promise<OfferedObject> {
    const { run } = this.#options;
    await run.board.posted(this.#site);
    const offered = await run.federation.offers.object(name);
    if (!offered) throw new FedStreamError('not-found', `the server offers no model ${JSON.stringify(name)} now`);
    return offered;
  }

  async #watch(kind: RetrievedKind, name: string): Promise<SendWatch> {
    const { run, log } = this.#options;
    const broke = (error: Error): void => log.warn({ site: this.#site, object: name }, `sending was interrupted: ${error.message}`);
    if (kind === 'file') return { broke };
    // The ask is looked up now, because the round may be over when the transfer ends.
    const ask = this.#asks.find(this.#site);
    const { brings } = await this.#object(name);
    const sent = (figures: TransferFigures): void => this.#transferred('down', figures, brings, ask);
    return { signal: this.#stop.signal, onProgress: () => run.board.progress(this.#site), sent, broke };
  }

  async #opened(stream: IncomingStream): Promise<void> {
    let figures: ResultFigures | undefined;
    const { run, log } = this.#options;
    const { board } = run;
    try {
      const meta = resultStreamSchema.safeParse(stream.meta);
      if (!meta.success) throw new FedStreamError('bad-frame', 'a stream was opened that carries no result');
      figures = meta.data.figures;
      await board.posted(this.#site);
      const ask = this.#asks.find(this.#site, figures.task);
      if (!ask) {
        if (await this.#asks.confirmAgain(this.#site, stream, figures.task)) return;
        throw new FedStreamError('refused', `task ${figures.task} is not open for ${this.#site} any more`);
      }
      const accepted = await this.#asks.accept(ask, stream, figures, () => board.progress(this.#site));
      if (ask.returns !== 'model') this.#transferred('up', accepted.figures, accepted.manifest, ask);
      this.#done(figures, ask);
    } catch (error) {
      const failure = asFedStreamError(error);
      await stream.reject(failure);
      log.warn({ site: this.#site, code: failure.code }, `a result of ${this.#site} was not accepted: ${failure.message}`);
      if (figures && !this.#session.ended && !BROKEN.has(failure.code) && failure.code !== 'refused')
        board.fail(this.#site, failure.message);
    }
  }

  #done(figures: ResultFigures, { task, returns }: OpenAsk): void {
    const { run, emit } = this.#options;
    if (!run.board.open(this.#site, figures.task)) return;
    const { trainLoss, samples, steps, counts, metrics } = figures;
    if (returns === 'update')
      emit({ type: 'site-result', site: this.#site, round: task.round, trainLoss, samples, steps, counts, metrics });
    run.board.done(this.#site, figures);
  }

  /**
   * Records a transfer. `manifest` is that of the model that arrived; undefined for an update that
   * is only part of the way to one, which an uncoded run would not send.
   */
  #transferred(direction: 'down' | 'up', figures: TransferFigures, manifest: Manifest | undefined, ask: OpenAsk | undefined): void {
    const { run, emit, memory } = this.#options;
    const { wireBytes, seconds, retries, resumedBytes } = figures;
    run.federation.traffic.add(direction, wireBytes);
    emit({
      type: 'transfer',
      site: this.#site,
      // Transfers before the first round count for the first round.
      round: Math.max(1, ask?.task.round ?? run.federation.round),
      direction,
      bytes: wireBytes,
      fp32Bytes: manifest ? bytesOf(manifest, () => 'F32') : 0,
      ownBytes: manifest ? bytesOf(manifest, ownDtypes(ask)) : 0,
      seconds,
      retries,
      resumedBytes,
      peakRssBytes: memory?.().peakRssBytes,
    });
  }
}

/**
 * The job without the fields that concern the server alone: sites need not know its workflows, and
 * earlier versions of sites do not know these fields.
 */
function forSites({
  workflow: _,
  aggregator: __,
  integers: ___,
  roundMs: ____,
  graceMs: _____,
  offerBytes: ______,
  extras,
  ...job
}: Job): object {
  return Object.keys(extras).length === 0 ? job : { ...job, extras };
}

type DtypeOf = (tensor: TensorEntry) => TensorEntry['dtype'];

function ownDtypes(ask: OpenAsk | undefined): DtypeOf {
  return ask?.offer ? notedDtypes(ask.offer.master.manifest) : ({ dtype }) => dtype;
}

function bytesOf({ tensors }: Manifest, dtypeOf: DtypeOf): number {
  return tensors.reduce((sum, tensor) => sum + dtypeBytes(dtypeOf(tensor), elementCount(tensor.shape)), 0);
}
