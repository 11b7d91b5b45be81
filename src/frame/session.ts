// A session: hello, heartbeats and frames between two named endpoints (docs/spec/session.md).
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, ERROR_CODES, type ErrorCode, FedStreamError } from '../core/errors.js';
import { RELEASE } from '../core/release.js';
import { within } from '../core/within.js';
import type { Connection } from '../driver/driver.js';
import { type ProofExchange, proveToServer, proveToSite } from './exchange-proofs.js';
import { decodeFrame, encodeFrame, type Frame, type FrameType } from './frame.js';
import { FrameWriter } from './frame-writer.js';
import { decodeHello, encodeHello, FEATURES, type Hello } from './hello.js';
import { pack, unpackHeader } from './pack.js';
import { NONCE_BYTES, type Prover, type SiteCredentials, transcriptOf } from './proof.js';
import { stall } from './stall.js';
import { PROTOCOL_VERSIONS, type VersionRange } from './versions.js';

/**
 * Takes the frames of one type, for the layer above. An error that it throws, at once or later, ends
 * the session that the frame came from.
 */
export type FrameHandler = (frame: Frame) => void;

/** Options of a session: this endpoint's name, and how long a silence it bears. */
export interface SessionOptions {
  /** This endpoint's name. */
  readonly name: string;
  /**
   * A connection on which nothing arrives for so many milliseconds is dead. Heartbeats are sent
   * four times as often.
   */
  readonly idleMs?: number;
  readonly signal?: AbortSignal;
  /**
   * Prove to the other side that this endpoint may use its name; the other side must then prove that
   * it knows them as well.
   */
  readonly credentials?: SiteCredentials | undefined;
  /** The run that this endpoint is for, if the other side has several. */
  readonly run?: string | undefined;
  /** Versions of the protocol that this endpoint speaks; by default all that this code knows. */
  readonly versions?: VersionRange;
  /** The release that this endpoint says; by default that of this code. */
  readonly release?: string | undefined;
  /** Returns the text about an error that the other side may read; by default the error's message. */
  readonly tell?: ((error: FedStreamError) => string) | undefined;
  /** Features that this endpoint says beside those of this code. */
  readonly features?: readonly string[] | undefined;
}

/** The other side's means to prove its name. */
export interface Credentials {
  /** The names in a certificate that was verified; undefined if there was none. */
  readonly certificateNames: readonly string[] | undefined;
  /**
   * Exchanges proofs of a token with the other side, once; resolves with whether its proof is right.
   * Missing if the other side has no token. Rejects if it leaves, or breaks the protocol.
   */
  readonly prove?: ((prover: Prover) => Promise<boolean>) | undefined;
  /**
   * Lets the other side wait so many milliseconds, until it leaves, or until the signal is aborted;
   * whatever it sends meanwhile is dropped. For a peer that is going to be refused.
   */
  stall(ms: number, signal: AbortSignal): Promise<void>;
}

/**
 * Accepts the other side, or refuses it by throwing, before any further frame of it is read. `run`
 * is the run that its hello names.
 */
export type Admit = (name: string, credentials: Credentials, run: string | undefined) => void | Promise<void>;

/**
 * Default idle limit: long enough for a stalled network to recover, short enough that a person does
 * not wait in vain.
 */
export const DEFAULT_IDLE_MS = 30_000;
/** The time that a goodbye may take to leave. */
const BYE_MS = 500;
/**
 * Number of pings that follow each other at once: the first ones wait for code that is not warm.
 */
const FIRST_PINGS = 5;
/** Round trips that may be asked for at a time; a peer that answers no ping must not gather more. */
const MOST_PROBES = 64;
/** Ticks of the idle limit. */
const SILENT_TICKS = 10;

const byeSchema = z.strictObject({ code: z.enum(ERROR_CODES).optional(), message: z.string().max(4096) });

/**
 * A session on one connection. Set handlers before `start`, which resolves once both sides have
 * said hello, so that no frame comes too early.
 */
export class Session {
  /** Resolves with the reason once the session has ended; never rejects. */
  readonly closed: Promise<FedStreamError>;
  /** The other endpoint's name, once `start` has resolved. */
  peerName = '';
  /** The version of the protocol that both speak, once `start` has resolved. */
  version = 0;
  /** Features that the other endpoint has, known here or not, once `start` has resolved. */
  peerFeatures: ReadonlySet<string> = new Set();
  /** The release of FedStream that the other endpoint says; undefined if it says none. */
  peerRelease: string | undefined;
  /** The shortest time between a ping and its pong; undefined until the first. */
  roundTripMs: number | undefined;
  readonly #connection: Connection;
  readonly #writer: FrameWriter;
  readonly #options: SessionOptions;
  readonly #handlers = new Map<FrameType, FrameHandler>();
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #silence: ReturnType<typeof setInterval> | undefined;
  #silentTicks = 0;
  #idleMs: number;
  #pings = 0;
  #pongs = 0;
  #timed: { readonly ping: number; readonly sentMs: number } | undefined;
  readonly #probes: ((tookMs: number) => void)[] = [];
  #error: FedStreamError | undefined;
  #resolveClosed: (error: FedStreamError) => void = () => {};

  /**
   * Takes a connection of which nothing was read. Before `start` has accepted the other side's
   * hello, nothing but that is read.
   */
  constructor(connection: Connection, options: SessionOptions) {
    this.#connection = connection;
    this.#options = options;
    connection.readOne?.(BUDGETS.helloBytes.limit);
    this.#idleMs = options.idleMs ?? DEFAULT_IDLE_MS;
    this.#writer = new FrameWriter(connection, (error) => void this.close(error));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** True once the session has ended: a later failure says nothing about what was sent. */
  get ended(): boolean {
    return this.#error !== undefined;
  }

  /** The other endpoint for messages to a person: its name, once known, and its address. */
  get peer(): string {
    return this.peerName ? `${this.peerName} (${this.#connection.peer})` : this.#connection.peer;
  }

  /** The other endpoint's address, without its name. */
  get address(): string {
    return this.#connection.peer;
  }

  /** The number of connections that carry the session. */
  get lanes(): number {
    return this.#connection.lanes ?? 1;
  }

  /** The number of bulk frames in flight that keeps the connection busy. */
  get bulkInFlight(): number {
    return this.#writer.bulkInFlight;
  }

  /** Sets the handler for frames of one type. */
  handle(type: FrameType, handler: FrameHandler): void {
    this.#handlers.set(type, handler);
  }

  /**
   * Says hello, waits for the other side's hello, then reads until the end. `admit` may refuse the
   * other side by throwing, and sets the handlers that depend on its name. Throws `unsupported` if
   * the two speak no version in common, `refused` if the other side does not know this one's token.
   */
  async start(admit?: Admit): Promise<void> {
    const idleMs = this.#idleMs;
    this.#watchSilence();
    this.#options.signal?.addEventListener('abort', this.#aborted, { once: true });
    if (this.#options.signal?.aborted) this.#aborted();
    const { name, credentials, run, versions = PROTOCOL_VERSIONS, release = RELEASE, features = [] } = this.#options;
    const nonce = credentials || admit ? crypto.getRandomValues(new Uint8Array(NONCE_BYTES)) : undefined;
    const own = encodeHello({ versions, name, idleMs, nonce, run, release, features: [...FEATURES, ...features] });
    void this.control('hello', 0, own).catch(() => {});
    const frames = this.#connection[Symbol.asyncIterator]();
    try {
      const { hello, header } = await this.#readHello(frames);
      if (credentials) await this.#proveName(hello, this.#exchange(frames, transcriptOf(own, header)), credentials);
      const prove = hello.nonce && ((prover: Prover) => proveToSite(this.#exchange(frames, transcriptOf(header, own)), prover));
      const { certificateNames } = this.#connection;
      await admit?.(hello.name, { certificateNames, prove, stall: (ms, signal) => this.#stall(frames, ms, signal) }, hello.run);
      if (this.#error) throw this.#error;
      this.#connection.readOn?.();
      // A connection dies of silence, so pings keep to both sides' limits.
      const beatMs = Math.max(Math.min(idleMs, hello.idleMs) / 4, 10);
      this.#heartbeat = setInterval(() => this.#ping(), beatMs);
    } catch (error) {
      // Whoever has ended the session closes the connection too, once the goodbye has left.
      if (this.#error) throw this.#error;
      const failure = asFedStreamError(error, 'bad-frame');
      await this.close(failure);
      throw failure;
    }
    void this.#read(frames);
    this.#ping();
  }

  /**
   * Raises the idle limit to so many milliseconds from now on. It never falls below the limit in
   * hello, since the other side sends its heartbeats for that.
   */
  extendIdle(idleMs: number): void {
    if (idleMs <= this.#idleMs || this.#error) return;
    this.#idleMs = idleMs;
    if (this.#silence !== undefined) this.#watchSilence();
  }

  /** Measures a round trip now, in milliseconds; a ping that is on its way already is used. */
  probe(found: (tookMs: number) => void): void {
    this.#probes.push(found);
    if (this.#probes.length > MOST_PROBES) this.#probes.shift();
    if (!this.#timed) this.#ping();
  }

  /**
   * Sends a control frame before any bulk frame that waits; resolves once it is flushed. Every
   * failure, `limit` for a header or a frame that is too large among them, is a rejection.
   */
  control(type: FrameType, stream: number, header?: Uint8Array, payload?: Uint8Array): Promise<void> {
    try {
      return this.#writer.control(payload ? encodeFrame(type, stream, header, payload) : encodeFrame(type, stream, header));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sends a bulk frame; resolves once the payload may be reused. */
  bulk(type: FrameType, stream: number, header: Uint8Array, ...payload: readonly Uint8Array[]): Promise<void> {
    return this.#writer.bulk(encodeFrame(type, stream, header, ...payload));
  }

  /** The code and the text of an error for the other side. */
  told(error: FedStreamError): { readonly code: ErrorCode; readonly message: string } {
    const { tell = ({ message }: FedStreamError) => message } = this.#options;
    return { code: error.code, message: tell(error).slice(0, 2000) };
  }

  /**
   * Tells the other side the reason, if there is room for another frame, then closes. Never rejects:
   * the session ends, whatever fails meanwhile.
   */
  async close(reason?: FedStreamError): Promise<void> {
    if (!this.#error) {
      const flushed = this.control('bye', 0, pack(reason ? this.told(reason) : { message: 'done' })).catch(() => {});
      this.#end(reason ?? new FedStreamError('closed', `the session with ${this.peer} was closed`));
      // A peer that does not read cannot keep this side from closing.
      await within(flushed, BYE_MS);
    }
    await this.#connection.close().catch(() => {}); // a connection that fails while it closes is closed
  }

  readonly #aborted = (): void => {
    void this.close(asFedStreamError(this.#options.signal?.reason, 'aborted'));
  };

  async #readHello(frames: AsyncIterator<Uint8Array>): Promise<{ hello: Hello; header: Uint8Array }> {
    const { header } = await this.#next(frames, 'hello');
    const { versions = PROTOCOL_VERSIONS, run } = this.#options;
    const hello = decodeHello(header, versions, this.peer);
    this.peerName = hello.name;
    this.version = hello.version;
    this.peerFeatures = new Set(hello.features);
    this.peerRelease = hello.release;
    if (run !== undefined && !this.peerFeatures.has('run'))
      throw new FedStreamError('unsupported', `${this.peer} knows no runs by name: leave out the name ${run}, or update FedStream there`);
    return { hello, header };
  }

  /** Reads the next frame of a session that has not begun, which must be of this type. */
  async #next(frames: AsyncIterator<Uint8Array>, type: 'hello' | 'proof'): Promise<Frame> {
    if (type === 'proof') this.#connection.readOne?.(BUDGETS.helloBytes.limit);
    const before = type === 'hello' ? 'before it said hello' : 'before it proved its name';
    const next = await frames.next();
    if (this.#error) throw this.#error;
    if (next.done) throw new FedStreamError('closed', `${this.peer} closed the connection ${before}`);
    this.#silentTicks = 0;
    const frame = this.#decode(next.value);
    if (frame.type === 'bye') throw this.#byeError(frame);
    if (frame.type === type) return frame;
    const wrong = type === 'hello' ? `began with a ${frame.type} frame instead of hello` : `sent a ${frame.type} frame ${before}`;
    throw new FedStreamError('bad-frame', `${this.peer} ${wrong}`);
  }

  async #proveName({ nonce }: Hello, exchange: ProofExchange, credentials: SiteCredentials): Promise<void> {
    if (!nonce)
      throw new FedStreamError(
        'unsupported',
        `${this.peer} would take a token as it is, which anybody on the way could use: update FedStream there`,
      );
    await proveToServer(exchange, credentials);
  }

  #exchange(frames: AsyncIterator<Uint8Array>, transcript: Uint8Array): ProofExchange {
    const send = (header: Uint8Array): void => void this.control('proof', 0, header).catch(() => {});
    return { peer: this.peer, transcript, send, next: () => this.#next(frames, 'proof') };
  }

  /** The session is about to end, so silence is not watched any more. */
  #stall(frames: AsyncIterator<Uint8Array>, ms: number, signal: AbortSignal): Promise<void> {
    clearInterval(this.#silence);
    return stall(frames, ms, (frame) => this.#connection.release?.(frame), signal);
  }

  async #read(frames: AsyncIterator<Uint8Array>): Promise<void> {
    try {
      for (;;) {
        const next = await frames.next();
        if (next.done) break;
        this.#silentTicks = 0;
        this.#dispatch(this.#decode(next.value));
      }
      this.#end(new FedStreamError('closed', `${this.peer} closed the connection`));
    } catch (error) {
      await this.close(asFedStreamError(error, 'bad-frame', this.peer));
    }
  }

  #decode(bytes: Uint8Array): Frame {
    try {
      return decodeFrame(bytes, () => this.#connection.release?.(bytes));
    } catch (cause) {
      throw new FedStreamError('bad-frame', `${this.peer}: ${(cause as Error).message}`, { cause });
    }
  }

  #dispatch(frame: Frame): void {
    if (this.#error) return; // frames after the end are dropped
    if (frame.type === 'ping') void this.control('pong', 0).catch(() => {});
    else if (frame.type === 'pong') this.#ponged();
    else if (frame.type === 'bye') {
      this.#end(this.#byeError(frame));
      void this.close();
    } else {
      const handler = this.#handlers.get(frame.type);
      if (!handler) throw new FedStreamError('bad-frame', `${this.peer} sent a ${frame.type} frame, which nothing here takes`);
      const done: unknown = handler(frame);
      if (done instanceof Promise) done.catch((error: unknown) => this.close(asFedStreamError(error)));
    }
  }

  /**
   * Sends a ping. One at a time is timed, and one that waits behind bulk is late, so the shortest
   * time counts.
   */
  #ping(): void {
    this.#pings++;
    this.#timed ??= { ping: this.#pings, sentMs: performance.now() };
    void this.control('ping', 0).catch(() => {});
  }

  #ponged(): void {
    if (this.#pongs === this.#pings) return; // no ping asked for it
    if (++this.#pongs !== this.#timed?.ping) return;
    const tookMs = performance.now() - this.#timed.sentMs;
    this.#timed = undefined;
    this.roundTripMs = Math.min(this.roundTripMs ?? tookMs, tookMs);
    for (const found of this.#probes.splice(0)) found(tookMs);
    if (this.#pongs < FIRST_PINGS) this.#ping();
  }

  #byeError(frame: Frame): FedStreamError {
    const { code, message } = unpackHeader(frame.header, byeSchema, `the bye of ${this.peer}`);
    return new FedStreamError(code ?? 'closed', code ? `${this.peer} ended the session: ${message}` : `${this.peer} ended the session`);
  }

  /**
   * Silence is counted in ticks, not read off a clock: if this process itself stood still, frames
   * that arrived meanwhile are read before the next tick.
   */
  #tick(): void {
    if (++this.#silentTicks <= SILENT_TICKS) return;
    void this.close(new FedStreamError('timeout', `nothing came from ${this.peer} for ${this.#idleMs / 1000} s`));
  }

  #watchSilence(): void {
    clearInterval(this.#silence);
    this.#silence = setInterval(() => this.#tick(), this.#idleMs / SILENT_TICKS);
  }

  #end(error: FedStreamError): void {
    if (this.#error) return;
    this.#error = error;
    clearInterval(this.#silence);
    clearInterval(this.#heartbeat);
    this.#options.signal?.removeEventListener('abort', this.#aborted);
    this.#writer.end(error);
    this.#resolveClosed(error);
  }
}
