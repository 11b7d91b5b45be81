// The sending side of a byte stream: never further than the receiver's credit, again from where it asks.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { type Checksum, createChecksum, createDigest, type Digest } from './digest.js';
import type { ByteSource } from './source.js';
import { acceptSchema, creditSchema, encodeDataHeader, FRAMING_BYTES, MAX_CHUNK_BYTES, resetSchema, retrySchema } from './stream-frames.js';

/** Pieces below this (small tensors) go out together: a frame costs 40 µs, and the receiver as much memory as its books need. */
const SMALL_PIECE_BYTES = 32 * 1024;
const GATHER_BYTES = 128 * 1024;
/** A link that corrupts this many chunks of one stream is broken. */
const MAX_RETRIES = 1000;

export interface SendOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes sent so far (from offset 0). */
  onProgress?(offset: number): void;
}

/** Figures of one sent stream. */
export interface SentStream {
  readonly totalBytes: number;
  readonly digest: string;
  /** Bytes that the receiver had already. */
  readonly resumedBytes: number;
  readonly retries: number;
  /** Payload and framing of the data frames that went out. */
  readonly wireBytes: number;
}

/** One stream from open to done. Frames for it come through `receive`. */
export class OutgoingStream {
  readonly id: number;
  readonly #session: Session;
  readonly #source: ByteSource;
  readonly #options: SendOptions;
  #limit = -1;
  #restart: number | undefined;
  #retries = 0;
  #wireBytes = 0;
  /** The furthest byte that was sent, and hashed where the digest is not known. */
  #reached = 0;
  #startOffset = 0;
  #offset = 0;
  #flushed: Promise<void> = Promise.resolve();
  #ending = false;
  #done = false;
  #refused = false;
  #error: FedStreamError | undefined;
  #wake: () => void = () => {};

  constructor(id: number, session: Session, source: ByteSource, options: SendOptions) {
    this.id = id;
    this.#session = session;
    this.#source = source;
    this.#options = options;
  }

  receive(frame: Frame): void {
    if (frame.type === 'accept') this.#accepted(frame);
    else if (frame.type === 'credit') this.#limit = Math.max(this.#limit, unpack(frame.header, creditSchema, 'a credit frame').limit);
    else if (frame.type === 'retry') this.#retry(frame);
    else if (frame.type === 'done') this.#confirmed();
    else if (frame.type === 'refuse') {
      const { code, message } = unpack(frame.header, resetSchema, 'a refuse frame');
      this.#refused = true;
      this.#error ??= new FedStreamError(code, message);
    } else throw new FedStreamError('bad-frame', `a ${frame.type} frame for a stream that this side sends`);
    this.#wake();
  }

  fail(error: FedStreamError): void {
    this.#error ??= error;
    this.#wake();
  }

  /** Resolves once the receiver has confirmed that everything is verified and safe. */
  async send(meta: Json): Promise<SentStream> {
    const abort = (): void => this.fail(asFedStreamError(this.#options.signal?.reason, 'aborted'));
    this.#options.signal?.addEventListener('abort', abort, { once: true });
    if (this.#options.signal?.aborted) abort();
    try {
      const { totalBytes, digest } = this.#source;
      await this.#session.control('open', this.id, pack({ meta, totalBytes, digest }));
      await this.#until(() => this.#limit >= 0);
      return await this.#transmit();
    } catch (error) {
      const failure = asFedStreamError(error);
      if (!this.#refused)
        void this.#session.control('reset', this.id, pack({ code: failure.code, message: failure.message.slice(0, 2000) })).catch(() => {});
      throw failure;
    } finally {
      this.#options.signal?.removeEventListener('abort', abort);
    }
  }

  #accepted(frame: Frame): void {
    const { offset, limit } = unpack(frame.header, acceptSchema, 'an accept frame');
    if (this.#limit >= 0) throw new FedStreamError('bad-frame', 'a stream was accepted twice');
    const known = this.#source.totalBytes ?? Number.MAX_SAFE_INTEGER;
    if (offset > known || (offset > 0 && this.#source.digest === undefined))
      throw new FedStreamError('bad-frame', `a stream was accepted from ${offset}, which it does not have`);
    this.#startOffset = offset;
    this.#reached = offset;
    this.#limit = limit;
  }

  #confirmed(): void {
    if (!this.#ending) throw new FedStreamError('bad-frame', 'a stream was confirmed before its end');
    this.#done = true;
  }

  #retry(frame: Frame): void {
    const { offset } = unpack(frame.header, retrySchema, 'a retry frame');
    if (offset < this.#startOffset || offset > this.#reached)
      throw new FedStreamError('bad-frame', `a chunk at ${offset} was asked for again, which was never sent`);
    if (++this.#retries > MAX_RETRIES)
      throw new FedStreamError('checksum', `more than ${MAX_RETRIES} chunks of one stream were corrupt; check the link`);
    this.#restart = offset;
  }

  async #transmit(): Promise<SentStream> {
    const checksum = await createChecksum();
    const digest = this.#source.digest === undefined ? await createDigest() : undefined;
    let known = this.#source.digest;
    this.#offset = this.#startOffset;
    for (;;) {
      if (await this.#transmitRest(checksum, digest)) {
        const totalBytes = this.#offset;
        known ??= digest?.finish() as string;
        this.#ending = true;
        await this.#session.control('end', this.id, pack({ totalBytes, digest: known }));
        await this.#until(() => this.#done || this.#restarts());
        if (this.#done)
          return { totalBytes, digest: known, resumedBytes: this.#startOffset, retries: this.#retries, wireBytes: this.#wireBytes };
      }
      this.#offset = this.#restart ?? this.#offset;
      this.#restart = undefined;
    }
  }

  #restarts(): boolean {
    return this.#restart !== undefined;
  }

  /** Sends from the offset to the end; false where a retry asked for another offset before that. */
  async #transmitRest(checksum: Checksum, digest: Digest | undefined): Promise<boolean> {
    let gather: Uint8Array | undefined;
    let gathered = 0;
    const send = (piece: Uint8Array): Promise<boolean> => this.#sendPiece(piece, checksum, digest);
    const sendGathered = async (): Promise<boolean> => {
      const piece = gather?.subarray(0, gathered);
      gathered = 0;
      return piece === undefined || (await send(piece));
    };
    try {
      for await (const piece of this.#source.read(this.#offset)) {
        if (piece.length >= SMALL_PIECE_BYTES) {
          if (!((await sendGathered()) && (await send(piece)))) return false;
          continue;
        }
        await this.#flushed; // the piece before, and what was gathered before
        gather ??= new Uint8Array(GATHER_BYTES);
        gather.set(piece, gathered);
        gathered += piece.length;
        if (gathered + SMALL_PIECE_BYTES > GATHER_BYTES && !(await sendGathered())) return false;
      }
      return (await sendGathered()) && !this.#restarts();
    } finally {
      await this.#flushed;
    }
  }

  /** In chunks, each once the receiver has room for it; false where a retry came. One chunk at most is not flushed when it returns. */
  async #sendPiece(piece: Uint8Array, checksum: Checksum, digest: Digest | undefined): Promise<boolean> {
    for (let at = 0; at < piece.length; at += MAX_CHUNK_BYTES) {
      const chunk = piece.subarray(at, at + MAX_CHUNK_BYTES);
      const end = this.#offset + chunk.length;
      await this.#until(() => end <= this.#limit || this.#restarts());
      if (this.#restarts()) return false;
      // What goes out again was hashed before; chunks may be cut elsewhere now.
      if (end > this.#reached) digest?.update(chunk.subarray(this.#reached - this.#offset));
      this.#reached = Math.max(this.#reached, end);
      const header = encodeDataHeader(this.#offset, checksum.of(chunk));
      const sent = this.#session.bulk('data', this.id, header, chunk);
      sent.catch(() => {}); // awaited one chunk later
      this.#wireBytes += chunk.length + FRAMING_BYTES;
      this.#offset = end;
      this.#options.onProgress?.(end);
      const before = this.#flushed;
      this.#flushed = sent;
      await before;
    }
    return true;
  }

  /** Waits for a change that makes it true; throws what failed the stream. */
  async #until(condition: () => boolean): Promise<void> {
    for (;;) {
      if (this.#error) throw this.#error;
      if (condition()) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
