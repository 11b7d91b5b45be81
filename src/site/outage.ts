// An outage as a site sees it: how long its server is looked for, how often, and what is told meanwhile.
import { durationText } from '../core/duration.js';
import type { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';

/** Long enough for a server's machine to start again; a wrong address is told at once all the same. */
export const DEFAULT_RETRY_MS = 600_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
/** The pause between two lines, which doubles up to once an hour: a terminal is not filled by a server that is away. */
const FIRST_SILENCE_MS = 30_000;
const LONGEST_SILENCE_MS = 3_600_000;

/** Options of an outage. */
export interface OutageOptions {
  readonly url: string;
  /** How long the server is looked for, in ms; `Infinity` for ever. */
  readonly retryMs: number;
  readonly log: Logger;
  /** The clock, in ms. */
  readonly now: () => number;
}

/** One outage: from the first failure to the next session. */
export class Outage {
  readonly #options: OutageOptions;
  readonly #beganMs: number;
  #pauseMs = FIRST_PAUSE_MS;
  #tellMs = 0;
  #silenceMs = FIRST_SILENCE_MS;

  constructor(options: OutageOptions) {
    this.#options = options;
    this.#beganMs = options.now();
  }

  /**
   * Counts a failed try. Returns the pause before the next one in ms, or undefined where the server
   * was looked for long enough.
   */
  failed({ code, message }: FedStreamError): number | undefined {
    const { url, retryMs, log, now } = this.#options;
    const tookMs = now() - this.#beganMs;
    const leftMs = retryMs - tookMs;
    if (leftMs <= 0) return undefined;
    if (tookMs >= this.#tellMs) {
      const search = retryMs === Number.POSITIVE_INFINITY ? 'until it is there' : `for ${durationText(leftMs)}`;
      if (this.#tellMs === 0) log.warn({ code }, `${message}; looking for the server ${search} (--retry)`);
      else log.warn({ code }, `no server at ${url} for ${durationText(tookMs)}: ${message}; still looking ${search}`);
      this.#tellMs = tookMs + this.#silenceMs;
      this.#silenceMs = Math.min(2 * this.#silenceMs, LONGEST_SILENCE_MS);
    }
    const pauseMs = Math.min(this.#pauseMs, leftMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    return pauseMs;
  }

  /** Tells that the server is there again. */
  over(): void {
    const { url, log, now } = this.#options;
    log.warn({}, `the server at ${url} is there again, after ${durationText(now() - this.#beganMs)}`);
  }

  /** How long it has lasted, in words. */
  get lasted(): string {
    return durationText(this.#options.now() - this.#beganMs);
  }
}
