// A limit of silence, which every heartbeat renews.

/**
 * The limit is counted in so many ticks: a process that was itself suspended gets the messages of
 * that time before the next tick.
 */
const TICKS = 10;

/**
 * Starts at once; `stop` ends it. `over` resolves after `limitMs` without a heartbeat, or never.
 */
export class SilenceWatch {
  readonly over: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;
  #silentTicks = 0;

  constructor(limitMs: number) {
    let resolve: () => void = () => {};
    this.over = new Promise((done) => {
      resolve = done;
    });
    this.#timer = setInterval(() => {
      this.#silentTicks++;
      if (this.#silentTicks > TICKS) resolve();
    }, limitMs / TICKS);
  }

  heartbeat(): void {
    this.#silentTicks = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
