// The sending side of a byte stream: never further than the receiver's credit, again from where it asks.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { type Checksum, createChecksum, createDigest, type Digest } from './digest.js';
import type { ByteSource } from './source.js';
import { acceptSchema, creditSchema, encodeDataHeader, resetSchema, retrySchema } from './stream-frames.js';

/** 1 MiB is the fastest size on the reference machine; larger pieces of a source are cut. */
const MAX_CHUNK_BYTES = 1024 * 1024;
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
  #hashed = 0;
  #startOffset = 0;
  #done = false;
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
    else if (frame.type === 'done') this.#done = true;
    else if (frame.type === 'refuse') {
      const { code, message } = unpack(frame.header, resetSchema, 'a refuse frame');
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
      if (!this.#error)
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
    this.#hashed = offset;
    this.#limit = limit;
  }

  #retry(frame: Frame): void {
    const { offset } = unpack(frame.header, retrySchema, 'a retry frame');
    if (offset < this.#startOffset || offset > this.#hashed)
      throw new FedStreamError('bad-frame', `a chunk at ${offset} was asked for again, which was never sent`);
    if (++this.#retries > MAX_RETRIES)
      throw new FedStreamError('checksum', `more than ${MAX_RETRIES} chunks of one stream were corrupt; check the link`);
    this.#restart = offset;
  }

  async #transmit(): Promise<SentStream> {
    const checksum = await createChecksum();
    const digest = this.#source.digest === undefined ? await createDigest() : undefined;
    let from = this.#startOffset;
    let known = this.#source.digest;
    for (;;) {
      this.#restart = undefined;
      const totalBytes = await this.#transmitFrom(from, checksum, digest);
      if (!this.#restarts()) {
        known ??= digest?.finish() as string;
        await this.#session.control('end', this.id, pack({ totalBytes, digest: known }));
        await this.#until(() => this.#done || this.#restarts());
        if (this.#done)
          return { totalBytes, digest: known, resumedBytes: this.#startOffset, retries: this.#retries, wireBytes: this.#wireBytes };
      }
      from = this.#restart ?? from;
    }
  }

  #restarts(): boolean {
    return this.#restart !== undefined;
  }

  /** Sends from an offset to the end, or until a retry asks for another one; returns the offset it came to. */
  async #transmitFrom(from: number, checksum: Checksum, digest: Digest | undefined): Promise<number> {
    let offset = from;
    let before: Promise<void> = Promise.resolve();
    try {
      for await (const piece of this.#source.read(from)) {
        for (let at = 0; at < piece.length; at += MAX_CHUNK_BYTES) {
          const chunk = piece.subarray(at, at + MAX_CHUNK_BYTES);
          await this.#until(() => offset + chunk.length <= this.#limit || this.#restarts());
          if (this.#restarts()) return offset;
          if (digest && offset === this.#hashed) digest.update(chunk);
          this.#hashed = Math.max(this.#hashed, offset + chunk.length);
          const header = encodeDataHeader(offset, checksum.of(chunk));
          const sent = this.#session.bulk('data', this.id, header, chunk);
          sent.catch(() => {}); // awaited below, one chunk later
          this.#wireBytes += chunk.length + header.length + 28;
          offset += chunk.length;
          this.#options.onProgress?.(offset);
          // The piece before the last must be flushed: its buffer is the next one to be filled.
          await before;
          before = sent;
        }
      }
      return offset;
    } finally {
      await before;
    }
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
