// The receiving side of a byte stream: it grants credit, verifies every chunk, and says done when its consumer does.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { Queue } from '../core/queue.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { type Checksum, createChecksum, createDigest, type Digest } from './digest.js';
import { decodeDataHeader, endSchema, MAX_CHUNK_BYTES, resetSchema } from './stream-frames.js';

/** Bytes that may be on their way or wait here: the memory that a stream can cost. */
export const DEFAULT_WINDOW_BYTES = 8 * 1024 * 1024;
/** Less than two chunks would stop a sender for good. */
const MIN_WINDOW_BYTES = 2 * MAX_CHUNK_BYTES;
/** Chunks that may wait here: senders gather small ones, so that a window is a few hundred at most. */
const MAX_WAITING_CHUNKS = 4096;
/** A link that corrupts this many chunks of one stream is broken. */
const MAX_RETRIES = 1000;

export interface AcceptOptions {
  /** Bytes that this side has verified already, and can give again for the digest. */
  readonly resume?: { readonly offset: number; prefix(): AsyncIterable<Uint8Array> };
  /** At least 2 MiB. */
  readonly windowBytes?: number;
}

/** A stream that the other side has opened: `read` it to its end and `confirm` it, or `reject` it, at any time. */
export class IncomingStream {
  readonly id: number;
  readonly meta: Json;
  /** What the sender claims; nothing is allocated from it. */
  readonly totalBytes: number | undefined;
  readonly digest: string | undefined;
  /** Chunks that arrived corrupt and were asked for again. */
  retries = 0;
  /** Digest of all the bytes, once `read` has ended. */
  foundDigest = '';
  readonly #session: Session;
  readonly #close: () => void;
  readonly #arrived = new Queue<Uint8Array>();
  #checksum: Checksum | undefined;
  #running: Digest | undefined;
  #expected = 0;
  #consumed = 0;
  #granted = 0;
  #windowBytes = DEFAULT_WINDOW_BYTES;
  #awaitsRetry = false;
  #end: { totalBytes: number; digest: string } | undefined;
  #ended = false;

  constructor(session: Session, id: number, opened: { meta: Json; totalBytes?: number; digest?: string }, close: () => void) {
    this.#session = session;
    this.id = id;
    this.meta = opened.meta;
    this.totalBytes = opened.totalBytes;
    this.digest = opened.digest;
    this.#close = close;
  }

  /** The verified bytes in order, from the resumed offset on. Ends once size and digest of the whole were checked; throws `digest`, `closed`, … */
  async *read(options: AcceptOptions = {}): AsyncGenerator<Uint8Array> {
    const offset = options.resume?.offset ?? 0;
    this.#windowBytes = Math.max(options.windowBytes ?? DEFAULT_WINDOW_BYTES, MIN_WINDOW_BYTES);
    this.#checksum = await createChecksum();
    this.#running = await createDigest();
    if (options.resume && offset > 0) for await (const bytes of options.resume.prefix()) this.#running.update(bytes);
    this.#expected = offset;
    this.#consumed = offset;
    this.#granted = offset + this.#windowBytes;
    await this.#session.control('accept', this.id, pack({ offset, limit: this.#granted }));
    for await (const bytes of this.#arrived) {
      this.#running.update(bytes);
      yield bytes;
      this.#consumed += bytes.length;
      this.#grant();
    }
    const found = this.#running.finish();
    this.foundDigest = found;
    const claimed = this.#end as { totalBytes: number; digest: string };
    if (found !== claimed.digest || (this.digest !== undefined && this.digest !== found)) {
      throw new FedStreamError(
        'digest',
        `the digest of a transfer from ${this.#session.peer} is ${found}, not ${this.digest ?? claimed.digest}`,
      );
    }
  }

  /** The consumer has everything verified and safe. */
  async confirm(): Promise<void> {
    if (this.foundDigest === '') throw new FedStreamError('internal', 'a stream was confirmed before it was verified');
    this.#finish();
    await this.#session.control('done', this.id);
  }

  /** Says no, or that it went wrong here. */
  async reject(error: FedStreamError): Promise<void> {
    if (this.#ended) return;
    this.#arrived.clear();
    this.#finish(error);
    await this.#session.control('refuse', this.id, pack({ code: error.code, message: error.message.slice(0, 2000) })).catch(() => {});
  }

  /** The session has ended: what was verified can still be read, and written, so that a later session goes on behind it. */
  fail(error: FedStreamError): void {
    this.#finish(error);
  }

  receive(frame: Frame): void {
    if (frame.type === 'data') this.#received(frame);
    else if (frame.type === 'end') this.#finished(frame);
    else if (frame.type === 'reset') {
      const { code, message } = unpack(frame.header, resetSchema, 'a reset frame');
      this.#finish(new FedStreamError(code, message));
    } else throw new FedStreamError('bad-frame', `a ${frame.type} frame for a stream that this side receives`);
  }

  #received(frame: Frame): void {
    const { offset, checksum } = decodeDataHeader(frame.header);
    const { length } = frame.payload;
    if (!this.#checksum) throw new FedStreamError('bad-frame', 'data came before the stream was accepted');
    if (this.#end || length === 0) throw new FedStreamError('bad-frame', 'data came behind the end of a stream, or a chunk without a byte');
    // Chunks that were on their way when a retry was asked for come again.
    if (this.#awaitsRetry && offset !== this.#expected) return;
    if (offset !== this.#expected) throw new FedStreamError('bad-frame', `data at ${offset} came where ${this.#expected} was expected`);
    if (offset + length > this.#granted)
      throw new FedStreamError('bad-frame', `data up to ${offset + length} came, ${this.#granted} was granted`);
    if (!sameBytes(this.#checksum.of(frame.payload), checksum)) {
      this.#askAgain();
      return;
    }
    if (this.#arrived.size >= MAX_WAITING_CHUNKS)
      throw new FedStreamError('limit', `${this.#session.peer} sends chunks so small that ${MAX_WAITING_CHUNKS} of them wait`);
    this.#awaitsRetry = false;
    this.#expected += length;
    this.#arrived.push(frame.payload);
  }

  #askAgain(): void {
    if (++this.retries > MAX_RETRIES)
      throw new FedStreamError('checksum', `more than ${MAX_RETRIES} chunks from ${this.#session.peer} were corrupt; check the link`);
    this.#awaitsRetry = true;
    void this.#session.control('retry', this.id, pack({ offset: this.#expected })).catch(() => {});
  }

  #finished(frame: Frame): void {
    // An end that was on its way when a retry was asked for comes again behind the chunks.
    if (this.#awaitsRetry) return;
    const end = unpack(frame.header, endSchema, 'an end frame');
    const claimed = this.totalBytes ?? end.totalBytes;
    if (end.totalBytes !== this.#expected || claimed !== end.totalBytes) {
      throw new FedStreamError(
        'digest',
        `a transfer from ${this.#session.peer} ended at ${this.#expected} of ${Math.max(claimed, end.totalBytes)} bytes`,
      );
    }
    this.#end = end;
    this.#arrived.end();
  }

  /** Raised in halves of the window, so that a credit frame goes with megabytes. */
  #grant(): void {
    const limit = this.#consumed + this.#windowBytes;
    if (this.#ended || limit - this.#granted < this.#windowBytes / 2) return;
    this.#granted = limit;
    void this.#session.control('credit', this.id, pack({ limit })).catch(() => {});
  }

  #finish(error?: FedStreamError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#arrived.end(error ? asFedStreamError(error) : undefined);
    this.#close();
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
