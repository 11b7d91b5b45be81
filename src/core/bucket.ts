// A token bucket: a rate with room for bursts.

/** So much at once, and so much more a second. */
export interface Rate {
  /** The most that can be saved up. */
  readonly burst: number;
  readonly aSecond: number;
}

/** Counts what a peer takes against its rate. */
export class Bucket {
  readonly #rate: Rate;
  readonly #now: () => number;
  #left: number;
  #atMs: number;

  constructor(rate: Rate, now: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#now = now;
    this.#left = rate.burst;
    this.#atMs = now();
  }

  /** Takes one; false, taking none, where none is left. */
  take(): boolean {
    this.#fill();
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** Takes one that need not be there yet; returns the milliseconds until it is. */
  borrow(): number {
    this.#fill();
    this.#left--;
    return this.#left >= 0 ? 0 : (-this.#left / this.#rate.aSecond) * 1000;
  }

  #fill(): void {
    const nowMs = this.#now();
    this.#left = Math.min(this.#rate.burst, this.#left + ((nowMs - this.#atMs) / 1000) * this.#rate.aSecond);
    this.#atMs = nowMs;
  }
}
