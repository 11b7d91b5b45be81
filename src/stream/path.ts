// The measurements of a session's path, shared by its streams.
import { BUDGETS } from '../core/budgets.js';
import { LEAF_BYTES } from './leaf-sums.js';
import { WindowBreadth } from './window-breadth.js';

/**
 * Window of the first stream of a session: 84 ms at 50 Mbit/s, and soon more if the path is faster.
 */
export const DEFAULT_WINDOW_BYTES = LEAF_BYTES / 2;
/** The least window in bytes, for each connection. */
export const MIN_WINDOW_BYTES = 192 * 1024;
/** 1 Gbit/s times 200 ms, twice over: the most memory that the streams of a session can cost. */
export const MAX_WINDOW_BYTES = BUDGETS.windowBytes.limit;
/** The most bytes that may come before their stream is accepted. */
const MAX_EARLY_BYTES = BUDGETS.earlyBytes.limit;
/**
 * Added to the round trips of a window, for timers, schedulers and slow disks. It is less if
 * control frames wait too long behind the window.
 */
const SLACK_MS = 20;
const LEAST_SLACK_MS = 8;
/** Factor of the window when control frames have waited for too long, again and again. */
const SHRINKS = 0.75;
/**
 * A rate that grows by this factor from one interval to the next is still finding out what the path
 * carries.
 */
const GROWING = 1.2;
/**
 * Number of intervals of which the second best counts: a lull does not make the path slower, and
 * one burst does not make it faster.
 */
const INTERVALS = 6;
/**
 * The window is too wide if a probe takes longer than this many round trips and milliseconds,
 * `PROBES` times in a row: a lost packet delays control once or twice, a queue always does.
 */
const WAIT_ROUND_TRIPS = 2;
const WAIT_MS = 25;
const PROBES = 3;
/**
 * The share of a probe's time that the window must account for. If it is less, something else
 * delays control, such as lost packets.
 */
const EXPLAINS = 0.6;
/** The smallest chunk, in bytes. */
export const SMALLEST_CHUNK_BYTES = 32 * 1024;

/**
 * The measurements of a session's path: its rate, and the sizes of window and chunks that follow.
 */
export class Path {
  windowBytes = DEFAULT_WINDOW_BYTES;
  chunkBytes = SMALLEST_CHUNK_BYTES;
  /** Rates of the last intervals in bytes a millisecond, the newest first. */
  rates: readonly number[] = [];
  /** True if the newest rate was well above all before. */
  grew = true;
  /**
   * The least window in bytes: a lane that waits for a lost packet must leave room for the others.
   */
  readonly leastBytes: number;
  readonly breadth: WindowBreadth;
  /** The streams that are being received: they share the path, and the most of its window. */
  streams = 0;
  /** Bytes that the next stream may send before it is accepted: allowed, and not used yet. */
  #earlyBytes = 0;
  slackMs = SLACK_MS;
  #probes: readonly number[] = [];

  /** `lanes` is the number of connections that carry the session. */
  constructor(lanes = 1) {
    this.leastBytes = MIN_WINDOW_BYTES * lanes;
    this.breadth = new WindowBreadth(lanes);
  }

  /**
   * Remembers a rate. True if it and the one before were each well above all before: growth in two
   * intervals is no burst.
   */
  grows(rate: number): boolean {
    const grew = rate > GROWING * Math.max(0, ...this.rates);
    const grows = grew && this.grew;
    this.grew = grew;
    this.rates = [rate, ...this.rates].slice(0, INTERVALS);
    return grows;
  }

  /** The rate in bytes a millisecond; undefined while none is known. */
  get rate(): number | undefined {
    const [best, second = best] = [...this.rates].sort((a, b) => b - a);
    return second;
  }

  /**
   * The window in bytes that fits a path whose rate does not grow; undefined while no rate is
   * known.
   */
  steadyBytes(roundTripMs: number): number | undefined {
    return this.rate === undefined ? undefined : this.rate * (this.breadth.roundTrips * roundTripMs + this.slackMs);
  }

  /**
   * Prepares the window for the next stream: a window that ran ahead of a growing rate would now go
   * out in one burst, and overflow the queues of routers.
   */
  settle(roundTripMs: number | undefined): void {
    if (roundTripMs !== undefined) this.resize(Math.min(this.windowBytes, this.steadyBytes(roundTripMs) ?? this.windowBytes));
  }

  resize(bytes: number): void {
    this.windowBytes = Math.round(Math.min(Math.max(bytes, this.leastBytes), MAX_WINDOW_BYTES));
  }

  /**
   * True while a stream is allowed early bytes. One stream at a time is, so that bytes which nobody
   * has accepted are bounded.
   */
  get allowsEarly(): boolean {
    return this.#earlyBytes > 0;
  }

  /** Allows so many bytes, or fewer; returns how many. */
  allowEarly(bytes: number): number {
    this.#earlyBytes = Math.min(bytes, MAX_EARLY_BYTES);
    return this.#earlyBytes;
  }

  /** The most bytes of one stream's window. */
  get mostBytes(): number {
    return Math.max(Math.floor(MAX_WINDOW_BYTES / Math.max(this.streams, 1)), this.leastBytes);
  }

  /** Uses up the allowance; true if a stream may begin with so many bytes. */
  usesEarly(bytes: number): boolean {
    const may = bytes <= this.#earlyBytes;
    this.#earlyBytes = 0;
    return may;
  }

  /** Makes the window smaller, since control waits behind it. */
  narrow(): void {
    this.breadth.narrow();
    this.slackMs = Math.max(this.slackMs * SHRINKS, LEAST_SLACK_MS);
    this.resize(this.windowBytes * SHRINKS);
  }

  /**
   * Takes the time of a probe. True if control has waited for too long several times in a row and
   * the window accounts for it.
   */
  waits(tookMs: number, roundTripMs: number): boolean {
    this.#probes = [tookMs, ...this.#probes].slice(0, PROBES);
    const leastMs = Math.min(...this.#probes);
    if (this.#probes.length < PROBES || leastMs <= WAIT_ROUND_TRIPS * roundTripMs + WAIT_MS) return false;
    const [rate = Number.POSITIVE_INFINITY] = this.rates;
    if (this.windowBytes / rate < EXPLAINS * leastMs) return false;
    this.#probes = [];
    return true;
  }
}
