// The receive window and the size of chunks, found from arrival rate and round-trip time.
import { LEAF_BYTES } from './leaf-sums.js';
import { type Path, SMALLEST_CHUNK_BYTES } from './path.js';

/**
 * TCP's slow start doubles the bytes in flight with each round trip, and the window has to be
 * ahead.
 */
const SLOW_START_ROUND_TRIPS = 2;
/**
 * A stall: no bytes for nearly a round trip and a little. Bytes that waited behind a lost packet
 * then arrive in one burst, which is no rate.
 */
const STALL_ROUND_TRIPS = 0.9;
const STALL_MS = 10;
/**
 * An interval lasts for a round trip after a stall, but at most this many round trips after the
 * first stall.
 */
const LONGEST_ROUND_TRIPS = 4;
/** A rate over less time, or of fewer chunks, is noise. */
const LEAST_INTERVAL_MS = 10;
const LEAST_CHUNKS = 8;

/** The time that a chunk takes at the present rate: control frames wait behind one or two. */
const CHUNK_MS = 5;
/** A whole leaf is verified without a copy. */
export const LARGEST_CHUNK_BYTES = LEAF_BYTES;
/** The least number of chunks in a window: some are on their way while others are asked for. */
const CHUNKS_A_WINDOW = 4;

/** Inputs of a receive window; sizes that are not given follow the path. */
export interface WindowOptions {
  /** The shortest round trip, in milliseconds; undefined while none is known. */
  roundTripMs(): number | undefined;
  /**
   * Measures a round trip now, behind the bytes on their way; `found` is called once with
   * milliseconds, unless the session ends.
   */
  probe?(found: (tookMs: number) => void): void;
  /** A fixed window in bytes. */
  readonly windowBytes?: number | undefined;
  /** A fixed chunk size in bytes. */
  readonly chunkBytes?: number | undefined;
  nowMs?(): number;
}

/**
 * A window that limits the sender is used up once a round trip, so the rate is window / round trip,
 * and the window grows with each. A full path has its own rate, and the window stays a little above
 * what the path holds. While the rate grows by itself (TCP's slow start), the window stays far
 * ahead of it, and is never made smaller.
 */
export class ReceiveWindow {
  readonly #path: Path;
  readonly #options: WindowOptions;
  readonly #nowMs: () => number;
  #sinceMs: number | undefined;
  #arrived = 0;
  #asked = false;
  #lastMs = 0;
  /** When the first and the last stall of this interval ended. */
  #stalls: { readonly firstMs: number; readonly lastMs: number } | undefined;

  constructor(path: Path, options: WindowOptions) {
    this.#path = path;
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    path.settle(options.roundTripMs());
  }

  get bytes(): number {
    const least = Math.max(this.#path.leastBytes, CHUNKS_A_WINDOW * (this.#options.chunkBytes ?? 0));
    return Math.max(this.#options.windowBytes ?? Math.min(this.#path.windowBytes, this.#path.mostBytes), least);
  }

  /**
   * Bytes that a stream begins with: what the path holds and no more, since they go out in one
   * burst, and queues of routers are short.
   */
  get firstBytes(): number {
    const roundTripMs = this.#options.roundTripMs();
    const { rate } = this.#path;
    if (this.#options.windowBytes !== undefined || roundTripMs === undefined || rate === undefined) return this.bytes;
    return Math.min(this.bytes, Math.max(Math.round(rate * roundTripMs), this.#path.leastBytes, CHUNKS_A_WINDOW * this.chunkBytes));
  }

  get chunkBytes(): number {
    const fits = 2 ** Math.floor(Math.log2(this.bytes / CHUNKS_A_WINDOW));
    return this.#options.chunkBytes ?? Math.min(this.#path.chunkBytes, fits);
  }

  /** Takes note of `bytes` that arrived now. */
  arrived(bytes: number): void {
    const nowMs = this.#nowMs();
    const roundTripMs = this.#options.roundTripMs();
    if (roundTripMs === undefined) return;
    if (this.#sinceMs === undefined) {
      this.#lastMs = nowMs;
      this.#sinceMs = nowMs; // nobody knows how long the first bytes were on their way
      return;
    }
    this.#arrived += bytes;
    if (nowMs - this.#lastMs > STALL_ROUND_TRIPS * roundTripMs + STALL_MS)
      this.#stalls = { firstMs: this.#stalls?.firstMs ?? nowMs, lastMs: nowMs };
    this.#lastMs = nowMs;
    const elapsedMs = nowMs - this.#sinceMs;
    const shortestMs = Math.max(roundTripMs, LEAST_INTERVAL_MS);
    if (elapsedMs < shortestMs || this.#arrived < LEAST_CHUNKS * this.chunkBytes) return;
    const { firstMs, lastMs } = this.#stalls ?? { firstMs: 0, lastMs: 0 };
    if (this.#stalls && nowMs - lastMs < shortestMs && nowMs - firstMs < LONGEST_ROUND_TRIPS * shortestMs) return;
    this.#follow(this.#arrived / elapsedMs, roundTripMs, this.#stalls !== undefined);
    this.#sinceMs = nowMs;
    this.#arrived = 0;
    this.#stalls = undefined;
    this.#probe();
  }

  /** Starts a probe, one at a time. */
  #probe(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#options.probe?.((tookMs) => {
      this.#asked = false;
      this.#heard(tookMs);
    });
  }

  /** Narrows the window if control frames wait too long behind it. */
  #heard(tookMs: number): void {
    const roundTripMs = this.#options.roundTripMs();
    if (roundTripMs === undefined || !this.#path.waits(tookMs, roundTripMs)) return;
    this.#path.narrow();
  }

  #follow(rate: number, roundTripMs: number, stalled: boolean): void {
    const path = this.#path;
    const chunk = 2 ** Math.floor(Math.log2(rate * CHUNK_MS));
    path.chunkBytes = Math.min(Math.max(chunk, SMALLEST_CHUNK_BYTES), LARGEST_CHUNK_BYTES);
    const grows = path.grows(rate);
    if (!path.grew) path.breadth.saw(rate, stalled); // a rate that grows by itself says nothing about a trial
    const steady = path.steadyBytes(roundTripMs) ?? 0;
    path.resize(grows ? Math.max(steady, rate * (SLOW_START_ROUND_TRIPS * roundTripMs + path.slackMs), path.windowBytes) : steady);
  }
}
