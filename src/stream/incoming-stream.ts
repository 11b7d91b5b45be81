// The receiving side of a byte stream: it grants credit, verifies every chunk, and says done when its consumer does.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { Queue } from '../core/queue.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpack } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { checksumOf } from './digest.js';
import { LEAF_BYTES, LeafSums, leafCount, sameBytes } from './leaf-sums.js';
import { ReceiveWindow } from './receive-window.js';
import { decodeDataHeader, endSchema, resetSchema } from './stream-frames.js';

/** A credit frame goes with megabytes all the same. */
const GRANTS_A_WINDOW = 8;
/** A link that corrupts this many chunks of one stream is broken. */
const MAX_RETRIES = 1000;

export interface AcceptOptions {
  /** What this side has verified already: whole leaves, or the whole object, and their checksums. */
  readonly resume?: Resume;
  /** At least 2 MiB; by default it follows the path, from 8 MiB on. */
  readonly windowBytes?: number;
}

/** What an open frame says. */
export interface OpenedStream {
  readonly meta: Json;
  readonly id?: string | undefined;
  readonly totalBytes?: number | undefined;
  readonly digest?: string | undefined;
}

export interface Resume {
  readonly offset: number;
  readonly sums: LeafSums;
}

/** A leaf that was verified; its memory is used again once it is released. */
interface Arrived {
  readonly bytes: Uint8Array;
  release(): void;
}

/** A stream that the other side has opened: `read` it to its end and `confirm` it, or `reject` it, at any time. */
export class IncomingStream {
  readonly id: number;
  readonly meta: Json;
  /** What the sender claims; nothing is allocated from it. */
  readonly totalBytes: number | undefined;
  readonly digest: string | undefined;
  /** Names exactly these bytes, also in a later try; undefined where they cannot be gone on with. */
  readonly objectId: string | undefined;
  /** Checksums of the leaves that were verified. */
  sums = new LeafSums();
  /** Leaves that arrived corrupt and were asked for again. */
  retries = 0;
  /** Digest of all the bytes, once `read` has ended. */
  foundDigest = '';
  readonly #session: Session;
  readonly #close: () => void;
  readonly #arrived = new Queue<Arrived>();
  #accepted = false;
  #expected = 0;
  #consumed = 0;
  #granted = 0;
  #window: ReceiveWindow;
  #awaitsRetry = false;
  #end: { totalBytes: number; digest: string } | undefined;
  #ended = false;

  constructor(session: Session, id: number, opened: OpenedStream, close: () => void) {
    this.#session = session;
    this.id = id;
    this.meta = opened.meta;
    this.totalBytes = opened.totalBytes;
    this.digest = opened.digest;
    this.objectId = opened.id ?? opened.digest;
    this.#close = close;
    this.#window = new ReceiveWindow(undefined, () => session.roundTripMs);
  }

  /**
   * The verified bytes in order, from the resumed offset on. A piece is valid until the next is asked for. Ends once size and digest of the whole
   * were checked; throws `digest`, `closed`, …
   */
  async *read(options: AcceptOptions = {}): AsyncGenerator<Uint8Array> {
    const { offset, sums } = options.resume ?? { offset: 0, sums: new LeafSums() };
    if (sums.count !== leafCount(offset)) throw new FedStreamError('internal', `${sums.count} checksums are no prefix of ${offset} bytes`);
    if (options.windowBytes !== undefined) this.#window = new ReceiveWindow(options.windowBytes, () => undefined);
    this.#accepted = true;
    this.sums = sums;
    this.#expected = offset;
    this.#consumed = offset;
    this.#granted = offset + this.#window.bytes;
    await this.#session.control('accept', this.id, pack({ offset, limit: this.#granted }));
    for await (const { bytes, release } of this.#arrived) {
      yield bytes;
      this.#consumed += bytes.length;
      this.#window.took(bytes.length);
      release();
      this.#grant();
    }
    await this.#checkDigest();
  }

  async #checkDigest(): Promise<void> {
    const found = await this.sums.digest();
    this.foundDigest = found;
    const claimed = this.#end as { totalBytes: number; digest: string };
    if (found === claimed.digest && (this.digest ?? found) === found) return;
    throw new FedStreamError(
      'digest',
      `the digest of a transfer from ${this.#session.peer} is ${found}, not ${this.digest ?? claimed.digest}`,
    );
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
    if (!this.#accepted) throw new FedStreamError('bad-frame', 'data came before the stream was accepted');
    if (this.#end || length === 0) throw new FedStreamError('bad-frame', 'data came behind the end of a stream, or a leaf without a byte');
    // Leaves that were on their way when a retry was asked for come again.
    if (this.#awaitsRetry && offset !== this.#expected) {
      frame.release();
      return;
    }
    if (offset !== this.#expected || offset % LEAF_BYTES !== 0 || length > LEAF_BYTES)
      throw new FedStreamError('bad-frame', `${length} bytes at ${offset} came where the leaf at ${this.#expected} was expected`);
    if (offset + length > this.#granted)
      throw new FedStreamError('bad-frame', `data up to ${offset + length} came, ${this.#granted} was granted`);
    const sum = checksumOf(frame.payload);
    if (!sameBytes(sum, checksum)) {
      frame.release();
      this.#askAgain();
      return;
    }
    this.sums.push(sum);
    this.#awaitsRetry = false;
    this.#expected += length;
    this.#arrived.push({ bytes: frame.payload, release: frame.release });
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

  /** Raised in parts of the window: what is taken and not granted yet is missing on its way. */
  #grant(): void {
    const limit = this.#consumed + this.#window.bytes;
    if (this.#ended || limit - this.#granted < this.#window.bytes / GRANTS_A_WINDOW) return;
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
