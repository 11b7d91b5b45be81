// The receiving side of a byte stream: grants credit, verifies leaves, confirms the end.
import { BUDGETS } from '../core/budgets.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { Queue } from '../core/queue.js';
import { reportedError } from '../core/told.js';
import type { Frame } from '../frame/frame.js';
import { pack, unpackHeader } from '../frame/pack.js';
import type { Session } from '../frame/session.js';
import { EarlyFrames } from './early.js';
import { checksumOf } from './hashed-memory.js';
import { type HeldLeaf, LeafAssembly } from './leaf-assembly.js';
import { LEAF_BYTES, LeafSums, leafCount, sameBytes } from './leaf-sums.js';
import type { Path } from './path.js';
import { ReceiveWindow } from './receive-window.js';
import { decodeDataHeader, endSchema, framingBytes, resetSchema } from './stream-frames.js';

/** Credit frames per window; even so, one goes with megabytes of data. */
const GRANTS_A_WINDOW = 8;
const MAX_RETRIES = BUDGETS.streamRetries.limit;

/** How a receiver takes a stream. */
export interface AcceptOptions {
  /**
   * The part that this side has verified already (whole leaves, or the whole object), with its
   * checksums.
   */
  readonly resume?: Resume;
  /**
   * Bytes of the window, at least 192 KiB and at least four chunks; by default it follows the path.
   */
  readonly windowBytes?: number;
  /**
   * Bytes that a frame carries: a power of two from 16 KiB to 4 MiB; by default it follows the
   * path, up to a leaf.
   */
  readonly chunkBytes?: number;
}

/** Fields of an open frame. */
export interface OpenedStream {
  readonly meta: Json;
  readonly id?: string | undefined;
  readonly totalBytes?: number | undefined;
  readonly digest?: string | undefined;
  readonly early?: number | undefined;
}

/**
 * The beginning of an object that the receiver has: its size in bytes, and the checksums of its
 * leaves.
 */
export interface Resume {
  readonly offset: number;
  readonly sums: LeafSums;
}

/**
 * A stream that the other side has opened. Its owner calls `read` to its end and then `confirm`, or
 * `reject` at any time.
 */
export class IncomingStream {
  readonly id: number;
  readonly meta: Json;
  /** Size in bytes as the sender claims it; nothing is allocated from it. */
  readonly totalBytes: number | undefined;
  readonly digest: string | undefined;
  /**
   * A name for exactly these bytes, also in a later attempt; undefined if the transfer cannot be
   * resumed.
   */
  readonly objectId: string | undefined;
  /** Checksums of the leaves that were verified. */
  sums = new LeafSums();
  /** Number of leaves that arrived corrupt and were asked for again. */
  retries = 0;
  /** Bytes of the data frames that arrived, payload and framing. */
  wireBytes = 0;
  /** Digest of all bytes, once `read` has ended. */
  foundDigest = '';
  readonly #session: Session;
  readonly #close: () => void;
  readonly #arrived = new Queue<HeldLeaf>();
  #accepted = false;
  #verified = 0;
  #consumed = 0;
  #granted = 0;
  /** The chunk size that the sender was told last. */
  #wantedChunkBytes = 0;
  readonly #path: Path;
  #window: ReceiveWindow;
  readonly #assembly = new LeafAssembly();
  readonly #early: EarlyFrames;
  /** True once a short leaf has arrived: it is the last one. */
  #whole = false;
  #awaitsRetry = false;
  #end: { totalBytes: number; digest: string } | undefined;
  #ended = false;
  #over: AbortController | undefined;
  #reason: FedStreamError | undefined;

  /** `path` holds what the streams of this session have measured, and is shared by them. */
  constructor(session: Session, id: number, opened: OpenedStream, path: Path, close: () => void) {
    this.#session = session;
    this.id = id;
    this.meta = opened.meta;
    this.totalBytes = opened.totalBytes;
    this.digest = opened.digest;
    this.objectId = opened.id ?? opened.digest;
    this.#early = new EarlyFrames(opened.early);
    this.#close = close;
    this.#path = path;
    this.#window = this.#newWindow();
  }

  /** True once it was read from. */
  get isAccepted(): boolean {
    return this.#accepted;
  }

  /**
   * Aborted once the stream is over, with the error if it failed: whoever waits for something before
   * reading it must then let go of it.
   */
  get signal(): AbortSignal {
    this.#over ??= new AbortController();
    if (this.#ended) this.#over.abort(this.#reason);
    return this.#over.signal;
  }

  /**
   * Yields the verified bytes in order, from the resumed offset on. A piece is valid until the next
   * one is asked for. Ends once size and digest of the whole object were checked.
   *
   * Throws `digest`, `checksum`, `bad-frame` or `closed`, or the sender's error.
   */
  async *read(options: AcceptOptions = {}): AsyncGenerator<Uint8Array> {
    const { offset, sums } = options.resume ?? { offset: 0, sums: new LeafSums() };
    if (sums.count !== leafCount(offset)) throw new FedStreamError('internal', `${sums.count} checksums are no prefix of ${offset} bytes`);
    const { windowBytes, chunkBytes } = options;
    this.#accepted = true;
    if (!this.#ended) this.#path.streams++;
    this.#window = this.#newWindow({ windowBytes, chunkBytes });
    this.sums = sums;
    this.#verified = offset;
    this.#consumed = offset;
    this.#granted = Math.max(offset + this.#window.firstBytes, this.#early.bytes);
    this.#wantedChunkBytes = this.#window.chunkBytes;
    const accepting = this.#session.control('accept', this.id, pack({ offset, limit: this.#granted, chunk: this.#wantedChunkBytes }));
    accepting.catch(() => {}); // awaited below
    for (const frame of this.#early.takeHeld(offset, this.totalBytes)) this.#take(frame);
    await accepting;
    for await (const { bytes, release } of this.#arrived) {
      yield bytes;
      this.#consumed += bytes.length;
      release();
      this.#grant();
    }
    await this.#checkDigest();
  }

  #newWindow(sizes: Pick<AcceptOptions, 'windowBytes' | 'chunkBytes'> = {}): ReceiveWindow {
    const session = this.#session;
    return new ReceiveWindow(this.#path, { ...sizes, roundTripMs: () => session.roundTripMs, probe: (found) => session.probe(found) });
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

  /** Tells the sender that the consumer has everything, verified and safe. */
  async confirm(): Promise<void> {
    if (this.foundDigest === '') throw new FedStreamError('internal', 'a stream was confirmed before it was verified');
    this.#finish();
    await this.#session.control('done', this.id, this.#allowance());
  }

  /** The next stream of the session may send as many bytes early as it would be accepted with. */
  #allowance(): Uint8Array | undefined {
    if (this.#path.allowsEarly) return undefined;
    this.#path.settle(this.#session.roundTripMs);
    const limit = this.#path.allowEarly(this.#window.firstBytes);
    return pack({ early: { limit, chunk: this.#window.chunkBytes } });
  }

  /** Refuses the stream, or tells the sender that receiving it failed here. */
  async reject(error: FedStreamError): Promise<void> {
    if (this.#ended) return;
    this.#arrived.clear();
    this.#finish(error);
    await this.#session.control('refuse', this.id, pack(this.#session.told(error))).catch(() => {});
  }

  /**
   * Ends the stream with its session. Bytes that were verified can still be read and stored, so
   * that a later session goes on behind them.
   */
  fail(error: FedStreamError): void {
    this.#finish(error);
  }

  /** Takes a frame of this stream. Throws `bad-frame` if the sender broke a rule. */
  receive(frame: Frame): void {
    if (frame.type === 'data' || frame.type === 'end') {
      if (this.#accepted) this.#take(frame);
      else if (!this.#early.hold(frame)) throw new FedStreamError('bad-frame', 'data came before the stream was accepted');
    } else if (frame.type === 'reset') {
      const { code, message } = unpackHeader(frame.header, resetSchema, 'a reset frame');
      this.#finish(reportedError(code, message));
    } else throw new FedStreamError('bad-frame', `a ${frame.type} frame for a stream that this side receives`);
  }

  #take(frame: Frame): void {
    if (frame.type === 'end') this.#finished(frame);
    else this.#received(frame);
  }

  /** The offset of the next byte. */
  get #expected(): number {
    return this.#verified + this.#assembly.pendingBytes;
  }

  #received(frame: Frame): void {
    const { offset, sums } = decodeDataHeader(frame.header);
    const { payload } = frame;
    if (this.#end || payload.length === 0) throw new FedStreamError('bad-frame', 'data came behind the end of a stream, or without a byte');
    this.wireBytes += payload.length + framingBytes(sums.length);
    // Frames that were on their way when a retry was asked for are sent again, so they are dropped
    // here; so are early frames that the receiver has no use for.
    if (this.#early.unwanted(frame) || (this.#awaitsRetry && offset !== this.#expected)) {
      frame.release();
      return;
    }
    const end = offset + payload.length;
    const leafEnds = Math.floor(end / LEAF_BYTES) - Math.floor(offset / LEAF_BYTES);
    // The last leaf of the object, if it is short, ends in addition.
    const isLast = sums.length === leafEnds + 1 && end % LEAF_BYTES > 0;
    if (offset !== this.#expected || this.#whole || (sums.length !== leafEnds && !isLast))
      throw new FedStreamError(
        'bad-frame',
        `${payload.length} bytes at ${offset} with ${sums.length} checksums came where byte ${this.#expected} was expected`,
      );
    if (end > this.#granted) throw new FedStreamError('bad-frame', `data up to ${end} came, ${this.#granted} was granted`);
    this.#awaitsRetry = false;
    this.#window.arrived(payload.length);
    this.#takeLeaves(frame, sums);
    this.#whole = isLast && !this.#awaitsRetry;
    this.#grant();
  }

  /** Verifies leaf by leaf; a damaged leaf is asked for again, with all leaves behind it. */
  #takeLeaves(frame: Frame, sums: readonly Uint8Array[]): void {
    const leaves = this.#assembly.add(frame, sums.length);
    for (const [i, leaf] of leaves.entries()) {
      const sum = checksumOf(leaf.bytes);
      if (!sameBytes(sum, sums[i] as Uint8Array)) {
        for (const dropped of leaves.slice(i)) dropped.release();
        this.#assembly.clear();
        this.#askAgain();
        return;
      }
      this.sums.push(sum);
      this.#verified += leaf.bytes.length;
      this.#arrived.push(leaf);
    }
  }

  #askAgain(): void {
    if (++this.retries > MAX_RETRIES)
      throw new FedStreamError('checksum', `more than ${MAX_RETRIES} leaves from ${this.#session.peer} were corrupt; check the link`);
    this.#awaitsRetry = true;
    void this.#session.control('retry', this.id, pack({ offset: this.#verified })).catch(() => {});
  }

  #finished(frame: Frame): void {
    // An end that was on its way when a retry was asked for is sent again behind the chunks.
    if (this.#awaitsRetry || this.#early.unwanted(frame)) return;
    const end = unpackHeader(frame.header, endSchema, 'an end frame');
    const claimed = this.totalBytes ?? end.totalBytes;
    if (end.totalBytes !== this.#verified || claimed !== end.totalBytes) {
      throw new FedStreamError(
        'digest',
        `a transfer from ${this.#session.peer} ended at ${this.#verified} of ${Math.max(claimed, end.totalBytes)} bytes`,
      );
    }
    this.#end = end;
    this.#arrived.end();
  }

  /**
   * Raises the limit by parts of the window, since bytes that were taken and not granted yet are
   * missing on the path. A smaller chunk size is told at once: the window may have become so small
   * that nothing can be granted, while the sender waits with a chunk that is larger than the credit
   * that it has left.
   */
  #grant(): void {
    const { bytes, chunkBytes } = this.#window;
    const limit = this.#consumed + this.#assembly.pendingBytes + bytes;
    if (this.#ended || (limit - this.#granted < bytes / GRANTS_A_WINDOW && chunkBytes >= this.#wantedChunkBytes)) return;
    this.#granted = Math.max(this.#granted, limit);
    this.#wantedChunkBytes = chunkBytes;
    void this.#session.control('credit', this.id, pack({ limit: this.#granted, chunk: chunkBytes })).catch(() => {});
  }

  #finish(error?: FedStreamError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reason = error;
    if (this.#accepted) this.#path.streams--;
    this.#early.drop();
    this.#arrived.end(error ? asFedStreamError(error) : undefined);
    this.#over?.abort(error);
    this.#close();
  }
}
