// How many round trips of its rate a path is given: found by trying, since a window that is too small makes a path slower and looks right for it.

/** What is above one waits on a full path, in front of control, or overflows the queues of routers. */
const LEAST = 1.25;
/** Of several connections one often waits for a lost packet, and the others are not to wait for it. */
const LEAST_STRIPED = 3;
/** A lost packet holds up what follows for a round trip, or two, or more. */
const MOST = 5;
/** So many intervals are compared. */
const INTERVALS = 6;
/** Between trials. */
const PAUSE_INTERVALS = 24;
const STEP = 1.4;
/** A wider window stays where the rate grows by so much, a narrower one where it does not fall below so much. */
const GAINS = 1.1;
const HOLDS = 0.93;
/** A rate that falls to so little while nothing was tried: something is lost, and made the window smaller. */
const FELL_TO = 0.7;
const FALL_STEP = 2;
/** Stalls in so many of the last intervals: what comes waits behind lost packets, and the sender for a window that is full of it. No trial is needed. */
const STALLED = 2;
const WATCHED = 3;

interface Trial {
  readonly roundTrips: number;
  readonly rate: number;
  readonly keepsAt: number;
}

export class WindowBreadth {
  roundTrips: number;
  readonly #least: number;
  #rates: readonly number[] = [];
  #best = 0;
  #trial: Trial | undefined;
  /** Until the trial ends, or the next one begins; the first comes soon. */
  #left = 2 * INTERVALS;
  #narrower = false;
  #stalls: readonly boolean[] = [];

  constructor(lanes = 1) {
    this.#least = lanes > 1 ? LEAST_STRIPED : LEAST;
    this.roundTrips = this.#least;
  }

  /** The rate of one more interval, and whether there was a stall in it. */
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

  /** A step narrower, at once; what is being tried is tried no more. */
  narrow(): void {
    this.#stepTo(this.roundTrips / STEP);
  }

  get #isHeldUp(): boolean {
    return this.#stalls.filter(Boolean).length >= STALLED;
  }

  /** A step; where that was too much, a trial will find it. */
  #widen(): void {
    this.#stepTo(this.roundTrips * STEP);
    this.#stalls = [];
    this.#narrower = true;
  }

  /** Without a trial: the next one comes after a pause. */
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

  /** What helped is tried again at once. */
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
