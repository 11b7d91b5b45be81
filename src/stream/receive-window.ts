// How far a sender may run ahead: as much as the path holds, found from the rate at which bytes are taken and the time of a round trip.
import { LEAF_BYTES } from './leaf-sums.js';

/** Where a stream begins: the product of 1.3 Gbit/s and 50 ms, and nothing that hurts on a fast path. */
export const DEFAULT_WINDOW_BYTES = 8 * LEAF_BYTES;
/** Less than two leaves would stop a sender for good. */
const MIN_WINDOW_BYTES = 2 * LEAF_BYTES;
/** 1 Gbit/s times 200 ms, twice over: the most memory that a stream can cost. */
export const MAX_WINDOW_BYTES = 48 * LEAF_BYTES;
/** A full path is given so many round trips of its rate: the half is what waits on it, in front of control. */
const ROUND_TRIPS = 1.5;
/** And so much more: what a timer, a scheduler and a slow disk need. */
const SLACK_MS = 25;
/** A rate that grows by so much from one interval to the next is still finding out what the path carries. */
const GROWING = 1.2;
/** A rate over less is noise. */
const LEAST_INTERVAL_MS = 50;

/**
 * A window that limits the sender is used up once a round trip, so that the rate is window / round trip, and the window grows with each. A full path
 * gives its own rate, and the window stays at one and a half times what the path holds. While the rate grows by itself (TCP's slow start), the window
 * leads it by far, and is never made smaller.
 */
export class ReceiveWindow {
  #bytes: number;
  readonly #fixed: boolean;
  readonly #roundTripMs: () => number | undefined;
  readonly #nowMs: () => number;
  #sinceMs: number | undefined;
  #taken = 0;
  /** Bytes a millisecond in the interval before. */
  #rate = 0;

  /** A given size stays; otherwise it begins at 8 MiB and follows the path. */
  constructor(fixedBytes: number | undefined, roundTripMs: () => number | undefined, nowMs: () => number = () => performance.now()) {
    this.#fixed = fixedBytes !== undefined;
    this.#bytes = Math.max(fixedBytes ?? DEFAULT_WINDOW_BYTES, MIN_WINDOW_BYTES);
    this.#roundTripMs = roundTripMs;
    this.#nowMs = nowMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** So many bytes were taken. */
  took(bytes: number): void {
    const nowMs = this.#nowMs();
    const roundTripMs = this.#roundTripMs();
    if (this.#fixed || roundTripMs === undefined) return;
    this.#sinceMs ??= nowMs;
    this.#taken += bytes;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < Math.max(roundTripMs, LEAST_INTERVAL_MS)) return;
    const rate = this.#taken / elapsedMs;
    // A sender stops before a leaf that does not fit whole.
    const wanted = Math.round(rate * (ROUND_TRIPS * roundTripMs + SLACK_MS)) + LEAF_BYTES;
    const next = rate > GROWING * this.#rate ? Math.max(2 * wanted, this.#bytes) : wanted;
    this.#bytes = Math.min(Math.max(next, MIN_WINDOW_BYTES), MAX_WINDOW_BYTES);
    this.#rate = rate;
    this.#sinceMs = nowMs;
    this.#taken = 0;
  }
}
