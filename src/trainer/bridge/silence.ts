// Waits for silence: a limit that every heartbeat renews.

/** Ticks in which the limit is counted: a process that itself stood still hears what arrived meanwhile before the next one. */
const TICKS = 10;

/** Starts at once; `stop` ends it. Its promise resolves after `limitMs` without a heartbeat, and never otherwise. */
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
