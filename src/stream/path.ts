// What the streams of a session have found out about their path, and share.
import { LEAF_BYTES } from './leaf-sums.js';
import { WindowBreadth } from './window-breadth.js';

/** Where the first stream of a session begins: 84 ms of 50 Mbit/s, and soon more where the path is faster. */
export const DEFAULT_WINDOW_BYTES = LEAF_BYTES / 2;
/** For each connection. */
export const MIN_WINDOW_BYTES = 192 * 1024;
/** 1 Gbit/s times 200 ms, twice over: the most memory that a stream can cost. */
export const MAX_WINDOW_BYTES = 48 * LEAF_BYTES;
/** And so much more: what a timer, a scheduler and a slow disk need. Less where control waits for it. */
const SLACK_MS = 20;
const LEAST_SLACK_MS = 8;
/** Where control waits for too long, again and again. */
const SHRINKS = 0.75;
/** A rate that grows by so much from one interval to the next is still finding out what the path carries. */
const GROWING = 1.2;
/** A lull is no slower path, and one burst no faster one: the second best of so many intervals counts. */
const INTERVALS = 6;
/** Where control takes longer than that, so many times, the window is too wide: a lost packet holds it up once or twice, what waits in queues always. */
const WAIT_ROUND_TRIPS = 2;
const WAIT_MS = 25;
const PROBES = 3;
/** The time in which a window leaves, of what control takes; where it is less, something else holds control up, such as lost packets. */
const EXPLAINS = 0.6;
/** Chunks are no smaller. */
export const SMALLEST_CHUNK_BYTES = 32 * 1024;

/** What the streams of a session have found out about their path. */
export class Path {
  windowBytes = DEFAULT_WINDOW_BYTES;
  chunkBytes = SMALLEST_CHUNK_BYTES;
  /** Bytes a millisecond, in the last intervals. */
  rates: readonly number[] = [];
  /** Whether the last of them was above all before. */
  grew = true;
  /** The least window: a lane that waits for a lost packet must leave room for the others. */
  readonly leastBytes: number;
  readonly breadth: WindowBreadth;
  /** What the next stream may send before it is accepted: allowed, and not used yet. */
  #earlyBytes = 0;
  slackMs = SLACK_MS;
  #probes: readonly number[] = [];

  /** `lanes` are the connections that carry the session. */
  constructor(lanes = 1) {
    this.leastBytes = MIN_WINDOW_BYTES * lanes;
    this.breadth = new WindowBreadth(lanes);
  }

  /** Remembers a rate; whether it, and the one before, was above all before: twice, that is no burst. */
  grows(rate: number): boolean {
    const grew = rate > GROWING * Math.max(0, ...this.rates);
    const grows = grew && this.grew;
    this.grew = grew;
    this.rates = [rate, ...this.rates].slice(0, INTERVALS);
    return grows;
  }

  /** Bytes a millisecond; undefined while none is known. */
  get rate(): number | undefined {
    const [best, second = best] = [...this.rates].sort((a, b) => b - a);
    return second;
  }

  /** What fits a path whose rate does not grow; undefined while no rate is known. */
  steadyBytes(roundTripMs: number): number | undefined {
    return this.rate === undefined ? undefined : this.rate * (this.breadth.roundTrips * roundTripMs + this.slackMs);
  }

  /** For the next stream: what led the way for a rate that grew would now go out in one burst, and overflow the queues of routers. */
  settle(roundTripMs: number | undefined): void {
    if (roundTripMs !== undefined) this.resize(Math.min(this.windowBytes, this.steadyBytes(roundTripMs) ?? this.windowBytes));
  }

  resize(bytes: number): void {
    this.windowBytes = Math.round(Math.min(Math.max(bytes, this.leastBytes), MAX_WINDOW_BYTES));
  }

  /** One stream at a time is allowed it, so that what nobody has accepted is bounded. */
  get allowsEarly(): boolean {
    return this.#earlyBytes > 0;
  }

  allowEarly(bytes: number): void {
    this.#earlyBytes = bytes;
  }

  /** Whether a stream may begin with so many; it was the one that might. */
  usesEarly(bytes: number): boolean {
    const may = bytes <= this.#earlyBytes;
    this.#earlyBytes = 0;
    return may;
  }

  /** The window is what control waits for. */
  narrow(): void {
    this.breadth.narrow();
    this.slackMs = Math.max(this.slackMs * SHRINKS, LEAST_SLACK_MS);
    this.resize(this.windowBytes * SHRINKS);
  }

  /** Whether control waits for too long, one time after the other, and the window is what it waits for. */
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
