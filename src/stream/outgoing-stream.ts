// The sending side of a byte stream: stays within the receiver's credit and resends on a retry.
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { reportedError } from '../core/told.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpackHeader } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { type Chunk, firstChunk, leavesAChunk, type UnsentLeaf } from './chunks.js';
import type { EarlyAllowance } from './early.js';
import { checksumOf } from './hashed-memory.js';
import { LEAF_BYTES, LeafSums } from './leaf-sums.js';
import { leavesOf } from './leaves.js';
import type { ByteSource } from './source.js';
import { acceptSchema, creditSchema, doneSchema, encodeDataHeader, framingBytes, resetSchema, retrySchema } from './stream-frames.js';

const MAX_RETRIES = BUDGETS.streamRetries.limit;
/**
 * The most leaves that one stream holds for frames in flight. The receiver chooses how many go into
 * a frame, and with many connections it could choose a hundred megabytes.
 */
const MOST_LEAVES = 32;
/** Ticks of the limit of silence. */
const SILENT_TICKS = 10;

/** How a stream is sent. */
export interface SendOptions {
  readonly signal?: AbortSignal;
  /**
   * Fails with `timeout` once the receiver has been waited for so many milliseconds, and has sent no
   * frame of this stream. Without it, only the session's end ends the wait.
   */
  readonly silenceMs?: number | undefined;
  /** Called with the bytes sent so far (from offset 0). */
  onProgress?(offset: number): void;
}

/** Figures of one stream that was sent. */
export interface SentStream {
  readonly totalBytes: number;
  readonly digest: string;
  /** Bytes that the receiver had before. */
  readonly resumedBytes: number;
  readonly retries: number;
  /** Bytes of the data frames that went out, payload and framing. */
  readonly wireBytes: number;
}

/** Fields of an accept frame. */
interface Accepted {
  readonly offset: number;
  readonly limit: number;
  readonly chunk: number;
}

/** One stream from open to done. Its frames arrive through `receive`. */
export class OutgoingStream {
  readonly id: number;
  readonly #session: Session;
  readonly #source: ByteSource;
  readonly #options: SendOptions;
  readonly #allowance: EarlyAllowance;
  /** Number of bytes that go out before the stream is accepted. */
  #earlyBytes = 0;
  /** The accept frame that resumes elsewhere: it applies once all early bytes are out. */
  #goesOn: Accepted | undefined;
  #accepted = false;
  #limit = 0;
  /** Payload bytes that the receiver wants a frame to carry. */
  #chunkBytes = LEAF_BYTES;
  #restart: number | undefined;
  #retries = 0;
  #wireBytes = 0;
  readonly #sums: LeafSums;
  /** The furthest offset that was sent. */
  #reached = 0;
  #startOffset = 0;
  #offset = 0;
  /** Chunks that may not be flushed yet, in order. */
  readonly #unflushed: Promise<void>[] = [];
  #ending = false;
  #done = false;
  #refused = false;
  #error: FedStreamError | undefined;
  #wake: () => void = () => {};
  /** The other side's part that is waited for: a frame of its own, or that it reads. */
  #waits: 'frame' | 'reading' | undefined;
  #silentTicks = 0;
  /** Frames that may be in flight, and the most leaves of each. */
  #inFlight = 1;
  #leavesAFrame = 1;

  constructor(id: number, session: Session, source: ByteSource, options: SendOptions, allowance: EarlyAllowance) {
    this.id = id;
    this.#session = session;
    this.#source = source;
    this.#sums = source.sums ?? new LeafSums();
    this.#options = options;
    this.#allowance = allowance;
  }

  /** Takes a frame of this stream. Throws `bad-frame` if the receiver broke a rule. */
  receive(frame: Frame): void {
    this.#silentTicks = 0;
    if (frame.type === 'accept') this.#accept(frame);
    else if (frame.type === 'credit') this.#credited(frame);
    else if (frame.type === 'retry') this.#retry(frame);
    else if (frame.type === 'done') this.#confirmed(frame);
    else if (frame.type === 'refuse') {
      const { code, message } = unpackHeader(frame.header, resetSchema, 'a refuse frame');
      this.#refused = true;
      this.#error ??= reportedError(code, message);
    } else throw new FedStreamError('bad-frame', `a ${frame.type} frame for a stream that this side sends`);
    this.#wake();
  }

  /** Ends the stream with an error, as when its session has ended. */
  fail(error: FedStreamError): void {
    this.#error ??= error;
    this.#wake();
  }

  /**
   * Sends the source, with so many frames in flight. Resolves once the receiver has confirmed that
   * all of it is verified and safe.
   *
   * Throws the receiver's error if it refuses, `digest` if the source changed, `aborted` by the
   * signal, `timeout` after silence, and `closed` or the session's error if the session ends.
   */
  async send(meta: Json, inFlight: number): Promise<SentStream> {
    this.#inFlight = inFlight;
    this.#leavesAFrame = Math.max(1, Math.floor(MOST_LEAVES / inFlight));
    const watch = this.#watchSilence();
    const abort = (): void => this.fail(asFedStreamError(this.#options.signal?.reason, 'aborted'));
    this.#options.signal?.addEventListener('abort', abort, { once: true });
    if (this.#options.signal?.aborted) abort();
    try {
      const { id, totalBytes, digest } = this.#source;
      const early = this.#allowance.take(totalBytes);
      if (early) {
        this.#earlyBytes = early.bytes;
        this.#limit = early.bytes;
        this.#chunkBytes = early.chunk;
      }
      await this.#session.control('open', this.id, pack({ meta, id, totalBytes, digest, early: early?.bytes }));
      if (!early) await this.#until(() => this.#accepted);
      return await this.#transmit();
    } catch (error) {
      const failure = asFedStreamError(error);
      if (!this.#refused) void this.#session.control('reset', this.id, pack(this.#session.told(failure))).catch(() => {});
      throw failure;
    } finally {
      clearInterval(watch);
      this.#options.signal?.removeEventListener('abort', abort);
    }
  }

  #watchSilence(): ReturnType<typeof setInterval> | undefined {
    const { silenceMs } = this.#options;
    if (silenceMs === undefined) return undefined;
    const tick = (): void => {
      if (!this.#waits || ++this.#silentTicks <= SILENT_TICKS) return;
      const error = new FedStreamError('timeout', `${this.#session.peer} has not gone on with an object for ${silenceMs / 1000} s`);
      // Frames that nobody reads can only be taken back with their session.
      if (this.#waits === 'reading') void this.#session.close(error);
      else this.fail(error);
    };
    return setInterval(tick, silenceMs / SILENT_TICKS);
  }

  #accept(frame: Frame): void {
    const accepted = unpackHeader(frame.header, acceptSchema, 'an accept frame');
    const { offset } = accepted;
    if (this.#accepted) throw new FedStreamError('bad-frame', 'a stream was accepted twice');
    const { id, digest, totalBytes } = this.#source;
    const wrong = offset % LEAF_BYTES !== 0 && offset !== totalBytes;
    if (wrong || offset > (totalBytes ?? Number.MAX_SAFE_INTEGER) || (offset > 0 && (id ?? digest) === undefined))
      throw new FedStreamError('bad-frame', `a stream was accepted from ${offset}, which it does not have`);
    this.#accepted = true;
    if (offset > 0 && this.#earlyBytes > 0) {
      this.#goesOn = accepted;
      this.#goOn();
    } else this.#startFrom(accepted);
  }

  #startFrom({ offset, limit, chunk }: Accepted): void {
    this.#startOffset = offset;
    this.#reached = Math.max(this.#reached, offset);
    this.#limit = Math.max(this.#limit, limit);
    this.#chunkBytes = chunk;
  }

  /**
   * Resumes where the receiver asked, once all announced bytes are out: the receiver counts on
   * them.
   */
  #goOn(): void {
    if (!this.#goesOn || this.#offset < this.#earlyBytes) return;
    this.#startFrom(this.#goesOn);
    this.#restart = this.#goesOn.offset;
    this.#goesOn = undefined;
  }

  #credited(frame: Frame): void {
    const { limit, chunk } = unpackHeader(frame.header, creditSchema, 'a credit frame');
    this.#limit = Math.max(this.#limit, limit);
    this.#chunkBytes = chunk;
  }

  #confirmed(frame: Frame): void {
    if (!this.#ending || !this.#accepted) throw new FedStreamError('bad-frame', 'a stream was confirmed before its end');
    if (frame.header.length > 0) this.#allowance.allow(unpackHeader(frame.header, doneSchema, 'a done frame').early);
    this.#done = true;
  }

  #retry(frame: Frame): void {
    const { offset } = unpackHeader(frame.header, retrySchema, 'a retry frame');
    if (!this.#accepted || offset < this.#startOffset || offset > this.#reached || offset % LEAF_BYTES !== 0)
      throw new FedStreamError('bad-frame', `a leaf at ${offset} was asked for again, which was never sent`);
    if (++this.#retries > MAX_RETRIES)
      throw new FedStreamError('checksum', `more than ${MAX_RETRIES} leaves of one stream were corrupt; check the link`);
    this.#restart = offset;
  }

  async #transmit(): Promise<SentStream> {
    this.#offset = this.#startOffset;
    for (;;) {
      if (await this.#transmitRest()) {
        const totalBytes = this.#offset;
        const digest = await this.#digest(totalBytes);
        this.#ending = true;
        await this.#session.control('end', this.id, pack({ totalBytes, digest }));
        await this.#until(() => this.#done || this.#restarts());
        if (this.#done) return { totalBytes, digest, resumedBytes: this.#startOffset, retries: this.#retries, wireBytes: this.#wireBytes };
      }
      this.#offset = this.#restart ?? this.#offset;
      this.#restart = undefined;
    }
  }

  /**
   * The digest of the bytes sent; throws `digest` if the source had announced another digest or
   * size.
   */
  async #digest(sentBytes: number): Promise<string> {
    const { digest, totalBytes } = this.#source;
    const found = await this.#sums.digest();
    if ((digest ?? found) !== found || (totalBytes ?? sentBytes) !== sentBytes) {
      const announced = `${totalBytes ?? sentBytes} bytes with digest ${digest ?? found}`;
      throw new FedStreamError('digest', `${sentBytes} bytes with digest ${found} were sent, but the source announced ${announced}`);
    }
    return found;
  }

  #restarts(): boolean {
    return this.#restart !== undefined;
  }

  /** Sends from the offset to the end; false if a retry asked for another offset before that. */
  async #transmitRest(): Promise<boolean> {
    // Leaves that the receiver has and this side has not hashed are read for the digest, and not
    // sent.
    let position = Math.min(Math.floor(this.#offset / LEAF_BYTES), this.#sums.count) * LEAF_BYTES;
    const leavesAFrame = Math.min(leavesAChunk(this.#chunkBytes), this.#leavesAFrame);
    const frame: UnsentLeaf[] = [];
    try {
      for await (const bytes of leavesOf(this.#source, position, this.#inFlight * leavesAFrame)) {
        const sum = this.#sumOf(position, bytes);
        if (position >= this.#offset) {
          frame.push({ bytes, sum });
          if (frame.length === leavesAFrame && !(await this.#sendLeaves(frame.splice(0)))) return false;
        }
        position += bytes.length;
      }
      if (frame.length > 0 && !(await this.#sendLeaves(frame))) return false;
      if (position < this.#offset) throw this.#changed(position);
      return !this.#restarts();
    } finally {
      await this.#flushed(0);
    }
  }

  /**
   * A known checksum is sent without hashing, since the receiver compares. If the receiver asks for
   * a leaf again, this side checks that the leaf has not changed meanwhile.
   */
  #sumOf(position: number, bytes: Uint8Array): Uint8Array {
    const index = position / LEAF_BYTES;
    const isKnown = index < this.#sums.count;
    if (isKnown && position >= this.#reached) return this.#sums.at(index);
    const sum = checksumOf(bytes);
    if (!isKnown) this.#sums.push(sum);
    else if (!this.#sums.matches(index, sum)) throw this.#changed(position);
    return sum;
  }

  #changed(position: number): FedStreamError {
    return new FedStreamError('digest', `the source changed at byte ${position} while it was being sent; send it again`);
  }

  /**
   * Sends leaves in one frame or in several; false if a retry came. When it returns, at most one
   * chunk less than the session keeps in flight is not flushed.
   */
  async #sendLeaves(leaves: readonly UnsentLeaf[]): Promise<boolean> {
    for (let rest = leaves; rest.length > 0; ) {
      const chunk = await this.#until(() => this.#restarts() || this.#fitting(rest));
      if (chunk === true) return false;
      rest = chunk.rest;
      await this.#sendChunk(chunk);
    }
    return true;
  }

  /**
   * The next chunk, if the receiver has room for it. It is cut anew each time: a chunk as large as
   * the receiver wanted when its window was wide may never fit into the present one.
   */
  #fitting(leaves: readonly UnsentLeaf[]): Chunk | false {
    const chunk = firstChunk(leaves, this.#chunkBytes);
    return this.#offset + chunk.bytes <= this.#limit && chunk;
  }

  async #sendChunk({ payload, sums, bytes }: Chunk): Promise<void> {
    const end = this.#offset + bytes;
    this.#reached = Math.max(this.#reached, end);
    const sent = this.#session.bulk('data', this.id, encodeDataHeader(this.#offset, sums), ...payload);
    sent.catch(() => {}); // awaited some chunks later
    this.#wireBytes += bytes + framingBytes(sums.length);
    this.#offset = end;
    this.#goOn();
    this.#options.onProgress?.(end);
    this.#unflushed.push(sent);
    await this.#flushed(this.#inFlight - 1);
  }

  /** Resolves once at most `most` chunks are not flushed. */
  async #flushed(most: number): Promise<void> {
    this.#waits = 'reading';
    while (this.#unflushed.length > most) await this.#unflushed.shift();
    this.#waits = undefined;
  }

  /**
   * Waits until the condition gives anything but false, and returns that; throws the error that
   * ended the stream.
   */
  async #until<T>(condition: () => T | false): Promise<T> {
    for (;;) {
      if (this.#error) throw this.#error;
      const found = condition();
      if (found !== false) return found;
      this.#waits = 'frame';
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#waits = undefined;
    }
  }
}
