// The window's breadth in round trips, found by trials.

/**
 * More than one round trip waits on a full path, in front of control, or overflows the queues of
 * routers.
 */
const LEAST = 1.25;
/**
 * One of several connections often waits for a lost packet, and the others must not wait for it.
 */
const LEAST_STRIPED = 3;
/** A lost packet delays what follows for a round trip, or two, or more. */
const MOST = 5;
/** Number of intervals that a trial takes. */
const INTERVALS = 6;
/** Number of intervals between trials. */
const PAUSE_INTERVALS = 24;
const STEP = 1.4;
/**
 * A wider window is kept if the rate grows by this factor, a narrower one if it does not fall below
 * this one.
 */
const GAINS = 1.1;
const HOLDS = 0.93;
/**
 * A rate that falls this far while nothing was tried: packets were lost, and made the window
 * smaller.
 */
const FELL_TO = 0.7;
const FALL_STEP = 2;
/**
 * Stalls in so many of the last intervals: bytes wait behind lost packets, and the sender waits for
 * a window that is full of them. No trial is needed then.
 */
const STALLED = 2;
const WATCHED = 3;

interface Trial {
  readonly roundTrips: number;
  readonly rate: number;
  readonly keepsAt: number;
}

/**
 * The number of round trips of its rate that a path is given. It is found by trials, since a window
 * that is too small makes a path slower and then looks right for it.
 */
export class WindowBreadth {
  roundTrips: number;
  readonly #least: number;
  #rates: readonly number[] = [];
  #best = 0;
  #trial: Trial | undefined;
  /** Intervals until the trial ends, or until the next one begins; the first one comes soon. */
  #left = 2 * INTERVALS;
  #narrower = false;
  #stalls: readonly boolean[] = [];

  constructor(lanes = 1) {
    this.#least = lanes > 1 ? LEAST_STRIPED : LEAST;
    this.roundTrips = this.#least;
  }

  /** Takes the rate of one more interval, and whether there was a stall in it. */
  saw(rate: number, stalled: boolean): void {
    this.#stalls = [stalled, ...this.#stalls].slice(0, WATCHED);
    this.#rates = [rate, ...this.#rates].slice(0, INTERVALS);
    const mean = this.#rates.reduce((sum, one) => sum + one, 0) / this.#rates.length;
    if (this.#rates.length < INTERVALS || mean > this.#best) this.#best = Math.max(mean, this.#best);
    else if (!this.#trial && mean < FELL_TO * this.#best) {
      this.#stepTo(this.roundTrips * FALL_STEP);
      this.#best = mean;
    }
    if (this.#isHeldUp && this.roundTrips < MOST) this.#widen();
    if (--this.#left > 0) return;
    if (this.#trial) this.#judge(this.#trial, mean);
    else this.#try(mean);
  }

  /** Makes the window a step narrower at once; a trial in progress ends. */
  narrow(): void {
    this.#stepTo(this.roundTrips / STEP);
  }

  get #isHeldUp(): boolean {
    return this.#stalls.filter(Boolean).length >= STALLED;
  }

  /** Makes the window a step wider; if that was too much, a trial will find it. */
  #widen(): void {
    this.#stepTo(this.roundTrips * STEP);
    this.#stalls = [];
    this.#narrower = true;
  }

  /** Steps without a trial; the next trial comes after a pause. */
  #stepTo(roundTrips: number): void {
    this.#set(roundTrips);
    this.#trial = undefined;
    this.#left = PAUSE_INTERVALS;
  }

  #try(rate: number): void {
    const narrows = this.#narrower && this.roundTrips > this.#least;
    this.#narrower = !this.#narrower;
    this.#trial = { roundTrips: this.roundTrips, rate, keepsAt: rate * (narrows ? HOLDS : GAINS) };
    this.#set(narrows ? this.roundTrips / STEP : this.roundTrips * STEP);
    this.#left = INTERVALS;
  }

  /** Ends a trial. A step that helped is tried again at once. */
  #judge(trial: Trial, rate: number): void {
    const keeps = rate > trial.keepsAt;
    const helped = keeps && this.roundTrips > trial.roundTrips;
    if (!keeps) this.roundTrips = trial.roundTrips;
    this.#trial = undefined;
    this.#best = Math.max(rate, trial.rate);
    if (helped) this.#narrower = false;
    this.#left = helped ? 1 : PAUSE_INTERVALS;
  }

  #set(roundTrips: number): void {
    this.roundTrips = Math.min(Math.max(roundTrips, this.#least), MOST);
  }
}
