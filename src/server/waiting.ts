// Waits of many for the same thing.

/** Waits among others until all are woken, or leaves them when the signal is aborted. */
export function waitingIn<T>(waiting: Set<(value: T) => void>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const woken = (value: T): void => {
      signal?.removeEventListener('abort', aborted);
      resolve(value);
    };
    const aborted = (): void => {
      waiting.delete(woken);
      reject(signal?.reason);
    };
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    signal?.addEventListener('abort', aborted, { once: true });
    waiting.add(woken);
  });
}

/** Wakes all that wait, each once. */
export function wake<T>(waiting: Set<(value: T) => void>, value: T): void {
  const all = [...waiting];
  waiting.clear();
  for (const woken of all) woken(value);
}
