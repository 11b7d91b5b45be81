// A session: two endpoints that know each other's name, hear each other's heart, and exchange frames (docs/spec/session.md).
import { z } from 'zod';
import { asFedStreamError, ERROR_CODES, FedStreamError } from '../core/errors.js';
import { within } from '../core/within.js';
import type { Connection } from '../driver/driver.js';
import { decodeFrame, encodeFrame, type Frame, type FrameType } from './frame.js';
import { FrameWriter } from './frame-writer.js';
import { pack, unpack } from './pack.js';

export const PROTOCOL_VERSION = 1;

/** Which layer above takes a frame. */
export type FrameHandler = (frame: Frame) => void;

/** Who this endpoint is, and how long a silence it bears. */
export interface SessionOptions {
  /** This endpoint's name. */
  readonly name: string;
  /** A connection on which nothing arrives for this long is dead. Heartbeats are sent four times as often. */
  readonly idleMs?: number;
  readonly signal?: AbortSignal;
  /** Shown to the other side: that this endpoint may call itself so. */
  readonly token?: string | undefined;
}

/** What the other side shows for its name. */
export interface Shown {
  /** From a certificate that was verified; undefined where there was none. */
  readonly certificateNames: readonly string[] | undefined;
  readonly token: string | undefined;
}

/** Long enough for a stalled network to recover, short enough that a person does not wait in vain. */
export const DEFAULT_IDLE_MS = 30_000;
const MIN_IDLE_MS = 100;
/** How long a goodbye may take to leave. */
const BYE_MS = 500;
/** The first pings wait for code that is not warm: so many follow each other at once. */
const FIRST_PINGS = 5;
/** The idle limit in ticks. */
const SILENT_TICKS = 10;

/** A later version may say more, and is told apart by its number. */
const helloSchema = z.object({
  version: z.int().min(1),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  /** Duration, not a time: clocks differ. */
  idleMs: z.int().min(MIN_IDLE_MS).max(86_400_000),
  token: z.string().max(1024).optional(),
});

const byeSchema = z.strictObject({ code: z.enum(ERROR_CODES).optional(), message: z.string().max(4096) });

/** Opens once both have said hello. Handlers are set before `start`, so that no frame comes too early. */
export class Session {
  readonly closed: Promise<FedStreamError>;
  /** The other endpoint's name, once `start` has resolved. */
  peerName = '';
  /** The shortest time between a ping and its pong; undefined until the first. */
  roundTripMs: number | undefined;
  readonly #connection: Connection;
  readonly #writer: FrameWriter;
  readonly #options: SessionOptions;
  readonly #handlers = new Map<FrameType, FrameHandler>();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #silentTicks = 0;
  #pings = 0;
  #pongs = 0;
  #timed: { readonly ping: number; readonly sentMs: number } | undefined;
  readonly #probes: ((tookMs: number) => void)[] = [];
  #error: FedStreamError | undefined;
  #resolveClosed: (error: FedStreamError) => void = () => {};

  constructor(connection: Connection, options: SessionOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#writer = new FrameWriter(connection, (error) => void this.close(error));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** Whether it is over: what failed since says nothing of what was sent. */
  get ended(): boolean {
    return this.#error !== undefined;
  }

  get peer(): string {
    return this.peerName ? `${this.peerName} (${this.#connection.peer})` : this.#connection.peer;
  }

  /** How many connections carry it, at once. */
  get lanes(): number {
    return this.#connection.lanes ?? 1;
  }

  /** So many bulk frames on their way keep the connection busy. */
  get bulkInFlight(): number {
    return this.#writer.bulkInFlight;
  }

  handle(type: FrameType, handler: FrameHandler): void {
    this.#handlers.set(type, handler);
  }

  /** Says hello, waits for the other's, then reads until the end. `admit` may refuse the other by throwing. */
  async start(admit: (name: string, shown: Shown) => void = () => {}): Promise<void> {
    const idleMs = this.#options.idleMs ?? DEFAULT_IDLE_MS;
    this.#timers.push(setInterval(() => this.#tick(idleMs), idleMs / SILENT_TICKS));
    this.#options.signal?.addEventListener('abort', this.#aborted, { once: true });
    if (this.#options.signal?.aborted) this.#aborted();
    const { name, token } = this.#options;
    void this.control('hello', 0, pack({ version: PROTOCOL_VERSION, name, idleMs, token })).catch(() => {});
    const frames = this.#connection[Symbol.asyncIterator]();
    try {
      const hello = await this.#readHello(frames);
      this.peerName = hello.name;
      admit(hello.name, { certificateNames: this.#connection.certificateNames, token: hello.token });
      if (this.#error) throw this.#error;
      // Silence is what kills: pings keep both sides' limits.
      const beatMs = Math.max(Math.min(idleMs, hello.idleMs) / 4, 10);
      this.#timers.push(setInterval(() => this.#ping(), beatMs));
    } catch (error) {
      const failure = this.#error ?? asFedStreamError(error, 'bad-frame');
      await this.close(failure);
      throw failure;
    }
    void this.#read(frames);
    this.#ping();
  }

  /** How long a ping takes now; one that is on its way already is good enough. */
  probe(found: (tookMs: number) => void): void {
    this.#probes.push(found);
    if (!this.#timed) this.#ping();
  }

  control(type: FrameType, stream: number, header?: Uint8Array, payload?: Uint8Array): Promise<void> {
    return this.#writer.control(payload ? encodeFrame(type, stream, header, payload) : encodeFrame(type, stream, header));
  }

  /** Resolves once the payload may be reused. */
  bulk(type: FrameType, stream: number, header: Uint8Array, ...payload: readonly Uint8Array[]): Promise<void> {
    return this.#writer.bulk(encodeFrame(type, stream, header, ...payload));
  }

  /** Tells the other why, then closes. */
  async close(reason?: FedStreamError): Promise<void> {
    if (!this.#error) {
      const message = (reason?.message ?? 'done').slice(0, 2000);
      const flushed = this.control('bye', 0, pack({ code: reason?.code, message })).catch(() => {});
      this.#end(reason ?? new FedStreamError('closed', `the session with ${this.peer} was closed`));
      // A peer that does not read cannot keep us from closing.
      await within(flushed, BYE_MS);
    }
    await this.#connection.close();
  }

  readonly #aborted = (): void => {
    void this.close(asFedStreamError(this.#options.signal?.reason, 'aborted'));
  };

  async #readHello(frames: AsyncIterator<Uint8Array>): Promise<z.output<typeof helloSchema>> {
    const first = await frames.next();
    if (first.done) throw new FedStreamError('closed', `${this.peer} closed the connection before it said hello`);
    this.#silentTicks = 0;
    const frame = this.#decode(first.value);
    if (frame.type === 'bye') throw this.#byeError(frame);
    if (frame.type !== 'hello') throw new FedStreamError('bad-frame', `${this.peer} began with a ${frame.type} frame instead of hello`);
    const hello = unpack(frame.header, helloSchema, `the hello of ${this.peer}`);
    if (hello.version === PROTOCOL_VERSION) return hello;
    throw new FedStreamError(
      'unsupported',
      `${this.peer} speaks version ${hello.version} of the protocol, this side ${PROTOCOL_VERSION}; use the same FedStream on both`,
    );
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
    if (this.#error) return; // what comes after the end is for nobody
    if (frame.type === 'ping') void this.control('pong', 0).catch(() => {});
    else if (frame.type === 'pong') this.#ponged();
    else if (frame.type === 'bye') {
      this.#end(this.#byeError(frame));
      void this.#connection.close();
    } else {
      const handler = this.#handlers.get(frame.type);
      if (!handler) throw new FedStreamError('bad-frame', `${this.peer} sent a ${frame.type} frame, which nothing here takes`);
      handler(frame);
    }
  }

  /** One at a time is timed; bulk that it waits behind makes it late, so that the shortest counts. */
  #ping(): void {
    this.#pings++;
    this.#timed ??= { ping: this.#pings, sentMs: performance.now() };
    void this.control('ping', 0).catch(() => {});
  }

  #ponged(): void {
    if (++this.#pongs !== this.#timed?.ping) return;
    const tookMs = performance.now() - this.#timed.sentMs;
    this.#timed = undefined;
    this.roundTripMs = Math.min(this.roundTripMs ?? tookMs, tookMs);
    for (const found of this.#probes.splice(0)) found(tookMs);
    if (this.#pongs < FIRST_PINGS) this.#ping();
  }

  #byeError(frame: Frame): FedStreamError {
    const { code, message } = unpack(frame.header, byeSchema, `the bye of ${this.peer}`);
    return new FedStreamError(code ?? 'closed', code ? `${this.peer} ended the session: ${message}` : `${this.peer} ended the session`);
  }

  /** Silence is counted in ticks, not read off a clock: when this process itself stood still, what came meanwhile is read before the next tick. */
  #tick(idleMs: number): void {
    if (++this.#silentTicks <= SILENT_TICKS) return;
    void this.close(new FedStreamError('timeout', `nothing came from ${this.peer} for ${idleMs / 1000} s`));
  }

  #end(error: FedStreamError): void {
    if (this.#error) return;
    this.#error = error;
    for (const timer of this.#timers) clearInterval(timer);
    this.#options.signal?.removeEventListener('abort', this.#aborted);
    this.#writer.end(error);
    this.#resolveClosed(error);
  }
}
