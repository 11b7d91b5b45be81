// Turns: at most so many at a time, the others in order.

/** Lets at most `count` holders have a turn at once; the others wait in the order of their asking. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * Resolves with the function that ends the turn; further calls of it do nothing. Rejects with the
   * signal's reason if that is aborted first, and nothing then stays behind.
   */
  take(signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const aborted = (): void => {
        const at = this.#waiting.indexOf(begin);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      const begin = (): void => {
        signal.removeEventListener('abort', aborted);
        let ended = false;
        resolve(() => {
          if (ended) return;
          ended = true;
          this.#next();
        });
      };
      if (this.#free > 0) {
        this.#free--;
        begin();
        return;
      }
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.push(begin);
    });
  }

  #next(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}
