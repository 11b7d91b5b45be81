// One connection over several: frames are numbered, spread over them, and put back in order.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { Queue } from '../core/queue.js';
import { putUint64, uint64At } from '../core/uint64.js';
import { type Connection, checkFrameBytes, DEFAULT_MAX_FRAME_BYTES } from './driver.js';

/** Each frame begins with its number (u64, little-endian). */
export const NUMBER_BYTES = 8;
/** How many frames may wait in order before the stripes are no longer read. */
const QUEUED_FRAMES = 4;

interface Stripe {
  readonly connection: Connection;
  pendingBytes: number;
}

/**
 * A connection over several stripes. A frame goes out where the fewest bytes wait. A stripe that is
 * held up (by a lost packet) does not hold up the others: each may be ahead by its own queue and
 * its own windows, which bound the memory. A stripe that breaks ends the whole connection.
 */
export class StripedConnection implements Connection {
  readonly peer: string;
  readonly certificateNames: readonly string[] | undefined;
  readonly lanes: number;
  readonly closed: Promise<Error | undefined>;
  readonly #stripes: readonly Stripe[];
  readonly #maxFrameBytes: number;
  readonly #incoming = new Queue<Uint8Array>();
  /** The readers whose frame is not next, by its number. */
  readonly #early = new Map<number, () => void>();
  readonly #owners = new WeakMap<Uint8Array, { readonly connection: Connection; readonly frame: Uint8Array }>();
  #sent = 0;
  #next = 0;
  #reading: number;
  #error: Error | undefined;
  #wake: () => void = () => {};

  /**
   * Takes connections to one peer, and their iterators, since a first frame may have been read
   * already. The first one is that of index 0 on both sides.
   */
  constructor(connections: readonly Connection[], frames: readonly AsyncIterator<Uint8Array>[], maxFrameBytes = DEFAULT_MAX_FRAME_BYTES) {
    const [first] = connections as [Connection];
    this.peer = first.peer;
    this.certificateNames = first.certificateNames;
    this.lanes = connections.length;
    this.#maxFrameBytes = maxFrameBytes;
    this.#stripes = connections.map((connection) => ({ connection, pendingBytes: 0 }));
    this.#incoming.onTake = () => this.#wake();
    this.#reading = connections.length;
    this.closed = this.#watch();
    for (const [i, iterator] of frames.entries()) void this.#read(connections[i] as Connection, iterator);
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    checkFrameBytes(bytes, this.#maxFrameBytes);
    const number = new Uint8Array(NUMBER_BYTES);
    putUint64(number, 0, this.#sent++);
    const stripe = this.#stripes.reduce((least, other) => (other.pendingBytes < least.pendingBytes ? other : least));
    stripe.pendingBytes += bytes;
    try {
      await stripe.connection.send(number, ...parts);
    } finally {
      stripe.pendingBytes -= bytes;
    }
  }

  release(frame: Uint8Array): void {
    const owner = this.#owners.get(frame);
    owner?.connection.release?.(owner.frame);
  }

  /** True once somebody has asked for one frame only. */
  isLimited = false;

  /**
   * The first frame comes over the first stripe, so the others are not read. A later one may come
   * over any of them.
   */
  readOne(maxBytes: number): void {
    const any = this.isLimited;
    this.isLimited = true;
    const most = this.#incoming.size > 0 || maxBytes === 0 ? 0 : maxBytes + NUMBER_BYTES;
    for (const [i, { connection }] of this.#stripes.entries()) connection.readOne?.(i === 0 || any ? most : 0);
  }

  readOn(): void {
    this.isLimited = false;
    for (const { connection } of this.#stripes) connection.readOn?.();
  }

  admitted(): void {
    for (const { connection } of this.#stripes) connection.admitted?.();
  }

  async close(reason?: Error): Promise<void> {
    if (reason) {
      this.#incoming.clear();
      this.#fail(reason);
    } else this.#incoming.end();
    this.#wake();
    await Promise.all(this.#stripes.map(({ connection }) => connection.close(reason)));
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#incoming[Symbol.asyncIterator]();
  }

  async #watch(): Promise<Error | undefined> {
    await Promise.all(
      this.#stripes.map(async ({ connection }) => {
        const error = await connection.closed;
        if (error) this.#fail(error);
      }),
    );
    return this.#error;
  }

  async #read(connection: Connection, frames: AsyncIterator<Uint8Array>): Promise<void> {
    try {
      for (;;) {
        const { value: frame, done } = await frames.next();
        if (done) break;
        await this.#turn(numberOf(frame, this.peer));
        await this.#deliver(connection, frame);
      }
      if (--this.#reading > 0) this.#checkStuck();
      else this.#end();
    } catch (error) {
      this.#fail(asFedStreamError(error, 'bad-frame', this.peer));
    }
  }

  /** Resolves once all frames before this number were delivered. */
  async #turn(number: number): Promise<void> {
    if (number === this.#next) return;
    if (number < this.#next || this.#early.has(number))
      throw new FedStreamError('bad-frame', `${this.peer} sent two frames with the number ${number}`);
    const turn = new Promise<void>((resolve) => this.#early.set(number, resolve));
    this.#checkStuck();
    await turn;
  }

  async #deliver(connection: Connection, frame: Uint8Array): Promise<void> {
    const inner = frame.subarray(NUMBER_BYTES);
    if (inner.length === 0 || inner.length > this.#maxFrameBytes)
      throw new FedStreamError('limit', `${this.peer} sent a frame of ${inner.length} bytes; at most ${this.#maxFrameBytes} are taken`);
    this.#owners.set(inner, { connection, frame });
    this.#incoming.push(inner);
    while (this.#incoming.size >= QUEUED_FRAMES && !this.#error) await new Promise<void>((resolve) => (this.#wake = resolve));
    const next = this.#early.get(++this.#next);
    this.#early.delete(this.#next);
    next?.();
  }

  /**
   * Fails if every stripe that is still read waits for its turn: the frame whose turn it is will
   * never come.
   */
  #checkStuck(): void {
    if (this.#reading > 0 && this.#early.size === this.#reading)
      this.#fail(new FedStreamError('bad-frame', `${this.peer} left out the frame with the number ${this.#next}`));
  }

  #end(): void {
    this.#incoming.end(this.#error);
  }

  /** Ends all stripes at once; frames that came in order can still be read. */
  #fail(error: Error): void {
    if (this.#error) return;
    this.#error = error;
    this.#end();
    this.#wake();
    for (const { connection } of this.#stripes) void connection.close(error);
  }
}

function numberOf(frame: Uint8Array, peer: string): number {
  if (frame.length < NUMBER_BYTES) throw new FedStreamError('bad-frame', `${peer} sent a frame without its number`);
  return uint64At(frame, 0);
}
