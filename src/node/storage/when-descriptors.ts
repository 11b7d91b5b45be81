// Waits for a free file descriptor where a process, or the machine, has none just now.
import { setTimeout as sleep } from 'node:timers/promises';

const PAUSE_MS = 50;
/**
 * Connections that give way to files do so within a second, and those that say nothing within half
 * a minute. Longer than that means that the limit is too low.
 */
const MOST_MS = 20_000;

/**
 * Runs the action, again while the system has no descriptor for it. Throws its last error after 20
 * s. The action must do no harm when it is repeated.
 */
export async function whenDescriptors<T>(action: () => T | Promise<T>, mostMs = MOST_MS): Promise<T> {
  const startMs = performance.now();
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (!isShortage(error) || performance.now() - startMs > mostMs) throw error;
    }
    await sleep(PAUSE_MS);
  }
}

/** True for an error, or the cause of one, that says that there are too many open files. */
function isShortage(error: unknown): boolean {
  const { code, cause } = error as NodeJS.ErrnoException & { cause?: unknown };
  return code === 'EMFILE' || code === 'ENFILE' || (cause instanceof Error && isShortage(cause));
}
