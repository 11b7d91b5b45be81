// How far a sender may run ahead, and in chunks of which size: found from the rate at which bytes arrive and the time of a round trip.
import { LEAF_BYTES } from './leaf-sums.js';
import { type Path, SMALLEST_CHUNK_BYTES } from './path.js';

/** TCP's slow start doubles what is on its way with each round trip: the window is to be ahead. */
const SLOW_START_ROUND_TRIPS = 2;
/** Nothing for nearly a round trip, and a little: what waited behind a lost packet comes in one burst then, which is no rate. */
const STALL_ROUND_TRIPS = 0.9;
const STALL_MS = 10;
/** An interval goes on for a round trip after a stall, but ends so many after the first. */
const LONGEST_ROUND_TRIPS = 4;
/** A rate over less time, or of fewer chunks, is noise. */
const LEAST_INTERVAL_MS = 10;
const LEAST_CHUNKS = 8;

/** Chunks follow the rate: control waits behind one or two. */
const CHUNK_MS = 5;
/** A whole leaf is verified where it lies. */
export const LARGEST_CHUNK_BYTES = LEAF_BYTES;
/** So many chunks fit into a window at least: some are on their way while others are asked for. */
const CHUNKS_A_WINDOW = 4;

export interface WindowOptions {
  /** The shortest; undefined for as long as it is not known. */
  roundTripMs(): number | undefined;
  /** Asks for a round trip now, behind what is on its way; `found` is called once, unless the session ends. */
  probe?(found: (tookMs: number) => void): void;
  /** Stays; by default it follows the path. */
  readonly windowBytes?: number | undefined;
  /** Likewise. */
  readonly chunkBytes?: number | undefined;
  nowMs?(): number;
}

/**
 * A window that limits the sender is used up once a round trip, so that the rate is window / round trip, and the window grows with each. A full path
 * gives its own rate, and the window stays a little above what the path holds. While the rate grows by itself (TCP's slow start), the window
 * leads it by far, and is never made smaller.
 */
export class ReceiveWindow {
  readonly #path: Path;
  readonly #options: WindowOptions;
  readonly #nowMs: () => number;
  #sinceMs: number | undefined;
  #arrived = 0;
  #asked = false;
  #lastMs = 0;
  /** When the first stall of this interval ended, and the last. */
  #stalls: { readonly firstMs: number; readonly lastMs: number } | undefined;

  constructor(path: Path, options: WindowOptions) {
    this.#path = path;
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    path.settle(options.roundTripMs());
  }

  get bytes(): number {
    const least = Math.max(this.#path.leastBytes, CHUNKS_A_WINDOW * (this.#options.chunkBytes ?? 0));
    return Math.max(this.#options.windowBytes ?? this.#path.windowBytes, least);
  }

  /** What a stream begins with: what the path holds and no more, for it goes out in one burst, and queues of routers are short. */
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

  /** So many bytes came. */
  arrived(bytes: number): void {
    const nowMs = this.#nowMs();
    const roundTripMs = this.#options.roundTripMs();
    if (roundTripMs === undefined) return;
    if (this.#sinceMs === undefined) {
      this.#lastMs = nowMs;
      this.#sinceMs = nowMs; // how long what came first was on its way, nobody knows
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

  /** One at a time. */
  #probe(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#options.probe?.((tookMs) => {
      this.#asked = false;
      this.#heard(tookMs);
    });
  }

  /** What waits behind a full window waits too long: whatever made it so wide, it is less now. */
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
    if (!path.grew) path.breadth.saw(rate, stalled); // what grows by itself is no answer to a trial
    const steady = path.steadyBytes(roundTripMs) ?? 0;
    path.resize(grows ? Math.max(steady, rate * (SLOW_START_ROUND_TRIPS * roundTripMs + path.slackMs), path.windowBytes) : steady);
  }
}
