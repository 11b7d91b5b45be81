// One site's connection on the server: answers what the site asks, takes what it sends.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Connection } from '../driver/driver.js';
import {
  failSchema,
  hasBaseSchema,
  MANIFEST_FILE,
  type Memory,
  objectRequestSchema,
  progressSchema,
  resultStreamSchema,
} from '../exchange/protocol.js';
import { type ResultFigures, resultSchema } from '../exchange/task.js';
import { unpack } from '../frame/pack.js';
import { Session, type Shown } from '../frame/session.js';
import type { Job } from '../job/job.js';
import { Messages } from '../message/messages.js';
import type { EmitEvent } from '../record/events.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import { memorySource } from '../stream/source.js';
import { Streams } from '../stream/streams.js';
import type { Manifest } from '../tensor/manifest.js';
import { encodeManifest } from '../tensor/manifest-json.js';
import type { TransferFigures } from '../transfer/figures.js';
import { sendPrepared } from '../transfer/send.js';
import type { RoundExchange } from './round-exchange.js';
import { float32Bytes } from './rounds.js';
import type { TaskBoard } from './task-board.js';

export interface SiteSessionOptions {
  readonly job: Job;
  /** A name of the run, no other one's. */
  readonly runName: string;
  readonly files: Readonly<Record<string, string>>;
  readonly board: TaskBoard;
  readonly exchange: RoundExchange;
  readonly emit: EmitEvent;
  /** Of this process, for the figures of a transfer. */
  readonly memory?: (() => Memory) | undefined;
  readonly log: Logger;
  /** Throws `refused` where the name may not join; called once the site has said hello. */
  admit(site: string, shown: Shown, session: Session): void;
  /** Called once the connection has said who it is, or is over. */
  known(): void;
}

/** Errors that say that the transfer broke, not that the result is bad: the site will try again. So it is with whatever ended the session. */
const BROKEN: ReadonlySet<string> = new Set(['closed', 'timeout', 'aborted', 'io', 'checksum', 'digest']);

/** Serves a connection until it ends. Never throws: what a peer does wrong ends its own session with a line in the log. */
export async function serveSite(connection: Connection, options: SiteSessionOptions): Promise<void> {
  const { job, log, board } = options;
  const session = new Session(connection, { name: 'server', idleMs: job.idleMs });
  const site = new SiteSession(session, options);
  let admitted = false;
  // Logged before the peer can know of it: start() fails only once the connection is closed, when the peer may be gone.
  void session.closed.then(({ code, message }) => {
    if (!admitted) log.warn({ peer: connection.peer, code }, `a connection was refused: ${message}`);
  });
  try {
    await session.start((name, shown) => {
      options.admit(name, shown, session);
      admitted = true;
    });
  } catch {
    return;
  } finally {
    options.known();
  }
  log.info({ site: session.peerName, peer: connection.peer }, 'connected');
  const ended = await session.closed;
  site.ended();
  log.info({ site: session.peerName, code: ended.code }, ended.message);
  board.sign(session.peerName);
}

class SiteSession {
  readonly #session: Session;
  readonly #options: SiteSessionOptions;
  readonly #streams: Streams;
  readonly #stop = new AbortController();
  /** Ends with the streams that the site has opened so far. Never rejects. */
  #taking: Promise<void> = Promise.resolve();

  constructor(session: Session, options: SiteSessionOptions) {
    this.#session = session;
    this.#options = options;
    this.#streams = new Streams(session, (stream) => {
      const opened = this.#opened(stream);
      this.#taking = this.#taking.then(() => opened);
    });
    const asked = Object.keys(options.files);
    new Messages(session, {
      join: () => ({ job: options.job, files: asked, run: options.runName }),
      // A result that was confirmed is not yet on the board: a site that is quick would be given the same task again.
      next: () => this.#taking.then(() => options.board.next(this.#site)),
      progress: (body) => this.#progress(body),
      evaluated: (body) => this.#evaluated(body),
      fail: (body) => this.#failed(body),
      object: (body) => this.#object(unpack(body, objectRequestSchema, 'an object request').name),
      file: (body) => this.#file(unpack(body, objectRequestSchema, 'a file request').name),
      'has-base': (body) => this.#hasBase(unpack(body, hasBaseSchema, 'a word on a model').task),
    });
  }

  ended(): void {
    this.#stop.abort(new FedStreamError('closed', `the connection of ${this.#site} ended`));
  }

  get #site(): string {
    return this.#session.peerName;
  }

  async #progress(body: Uint8Array): Promise<Record<string, never>> {
    const { board, emit } = this.#options;
    const { task, steps, memory, alive } = unpack(body, progressSchema, 'a progress report');
    await board.posted(this.#site);
    const open = board.open(this.#site, task);
    if (!open) return {};
    if (steps.length > 0 || alive) board.sign(this.#site);
    for (const step of steps) emit({ type: 'step', site: this.#site, round: open.round, ...step });
    emit({ type: 'memory', process: this.#site, ...memory });
    return {};
  }

  async #failed(body: Uint8Array): Promise<Record<string, never>> {
    const { board, log } = this.#options;
    const { task, code, message } = unpack(body, failSchema, 'a failure report');
    log.error({ site: this.#site, code }, message);
    await board.posted(this.#site);
    if (board.open(this.#site, task)) board.fail(this.#site, message);
    return {};
  }

  async #evaluated(body: Uint8Array): Promise<Record<string, never>> {
    const figures = unpack(body, resultSchema, 'an evaluation');
    await this.#options.board.posted(this.#site);
    const kind = this.#options.board.open(this.#site, figures.task)?.kind;
    if (kind === 'evaluate' || kind === 'base') this.#options.board.done(this.#site, figures);
    return {};
  }

  async #file(name: string): Promise<Record<string, never>> {
    const text = await this.#text(name);
    if (text === undefined) throw new FedStreamError('not-found', `the server offers no file ${JSON.stringify(name)}`);
    this.#streams.send({ kind: 'file', name }, memorySource(text)).catch((error: Error) => this.#broke(name, error));
    return {};
  }

  async #text(name: string): Promise<Uint8Array | undefined> {
    const { files, board, exchange } = this.#options;
    if (name !== MANIFEST_FILE) return Object.hasOwn(files, name) ? new TextEncoder().encode(files[name]) : undefined;
    await board.posted(this.#site);
    return exchange.held && encodeManifest(exchange.held.manifest);
  }

  /** Counted as a transfer of no more than the manifest: the comparison with float32 is with a model that was sent. */
  async #hasBase(task: string): Promise<Record<string, never>> {
    const { board, exchange } = this.#options;
    await board.posted(this.#site);
    const { held } = exchange;
    if (!board.open(this.#site, task) || !held || !exchange.countBase(this.#site)) return {};
    const wireBytes = encodeManifest(held.manifest).length;
    const figures = { wireBytes, objectBytes: wireBytes, seconds: 0, retries: 0, resumedBytes: 0, digest: '' };
    this.#transferred('down', figures, exchange.isStart ? held.manifest : undefined);
    return {};
  }

  async #object(name: string): Promise<Record<string, never>> {
    const { exchange, board } = this.#options;
    await board.posted(this.#site);
    const offered = await exchange.object(name);
    if (!offered) throw new FedStreamError('not-found', `the server offers no model ${JSON.stringify(name)} now`);
    const onProgress = (): void => board.sign(this.#site);
    sendPrepared(this.#streams, { kind: 'object', name }, offered.prepared, { signal: this.#stop.signal, onProgress }).then(
      (figures) => this.#transferred('down', figures, offered.brings),
      (error: Error) => this.#broke(name, error),
    );
    return {};
  }

  #broke(name: string, error: Error): void {
    this.#options.log.warn({ site: this.#site, object: name }, `sending broke: ${error.message}`);
  }

  async #opened(stream: IncomingStream): Promise<void> {
    let figures: ResultFigures | undefined;
    const { board, exchange, log } = this.#options;
    try {
      const meta = resultStreamSchema.safeParse(stream.meta);
      if (!meta.success) throw new FedStreamError('bad-frame', 'a stream that is no result was opened');
      figures = meta.data.figures;
      await board.posted(this.#site);
      const task = board.open(this.#site, figures.task);
      if (!task) {
        if (await exchange.confirmAgain(this.#site, stream, figures.task)) return;
        throw new FedStreamError('refused', `task ${figures.task} is not open for ${this.#site} any more`);
      }
      const onProgress = (): void => board.sign(this.#site);
      if (task.kind === 'offer') {
        await exchange.acceptOffer(this.#site, stream, figures.files ?? {}, onProgress);
        board.done(this.#site, figures);
        return;
      }
      const accepted = await exchange.accept(this.#site, stream, figures, onProgress);
      this.#transferred('up', accepted.figures, accepted.manifest);
      this.#done(figures);
    } catch (error) {
      const failure = asFedStreamError(error);
      await stream.reject(failure);
      log.warn({ site: this.#site, code: failure.code }, `a result of ${this.#site} was not taken: ${failure.message}`);
      if (figures && !this.#session.ended && !BROKEN.has(failure.code) && failure.code !== 'refused')
        board.fail(this.#site, failure.message);
    }
  }

  #done(figures: ResultFigures): void {
    const { board, emit } = this.#options;
    const task = board.open(this.#site, figures.task);
    if (!task) return;
    const { trainLoss, samples, steps, counts, metrics } = figures;
    emit({ type: 'site-result', site: this.#site, round: task.round, trainLoss, samples, steps, counts, metrics });
    board.done(this.#site, figures);
  }

  /** `manifest` is of the model that arrived; undefined for a part of the way to one, which an uncoded run does not send. */
  #transferred(direction: 'down' | 'up', figures: TransferFigures, manifest: Manifest | undefined): void {
    const { wireBytes, seconds, retries, resumedBytes } = figures;
    const { exchange } = this.#options;
    const { round, traffic } = exchange;
    if (direction === 'down') traffic.bytesDown += wireBytes;
    else traffic.bytesUp += wireBytes;
    this.#options.emit({
      type: 'transfer',
      site: this.#site,
      round,
      direction,
      bytes: wireBytes,
      fp32Bytes: manifest ? float32Bytes(manifest) : 0,
      ownBytes: manifest ? exchange.ownBytes(manifest) : 0,
      seconds,
      retries,
      resumedBytes,
      peakRssBytes: this.#options.memory?.().peakRssBytes,
    });
  }
}
