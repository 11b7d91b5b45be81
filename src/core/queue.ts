// A queue between one producer and one consumer, with an end.

/**
 * Items are taken in order; a waiting consumer is woken. The producer checks `size` if it must not
 * run ahead.
 */
export class Queue<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #waiting: ((result: IteratorResult<T>) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #ended = false;
  #error: Error | undefined;
  /** Called each time an item is taken. */
  onTake: () => void = () => {};

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#ended) return;
    if (this.#waiting) {
      const wake = this.#waiting;
      this.#waiting = undefined;
      wake({ value: item, done: false });
      this.onTake();
    } else this.#items.push(item);
  }

  /** Ends the queue. Items in it can still be taken; then the error is thrown, if there is one. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    if (!this.#waiting) return;
    if (error) this.#reject?.(error);
    else this.#waiting({ value: undefined, done: true });
    this.#waiting = undefined;
  }

  /** Drops the items in the queue. */
  clear(): void {
    this.#items = [];
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) {
      const value = this.#items.shift() as T;
      this.onTake();
      return Promise.resolve({ value, done: false });
    }
    if (this.#error) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => {
      this.#waiting = resolve;
      this.#reject = reject;
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return { next: () => this.next() };
  }
}
