// The last net of a server: an error that nobody handles, in a promise, a timer or an event, is a
// fault of this program, and no reason to end the runs and sessions that have nothing to do with it.
import type { Logger } from '../../core/log.js';
import type { EmitEvent } from '../../record/events.js';

/** Faults that are among the warnings of the run; the log has all. */
const TOLD = 10;
/** More faults than this in a minute go on by themselves: then the process ends as without a net. */
const MOST_A_MINUTE = 100;
const MINUTE_MS = 60_000;

/**
 * Logs each such failure with its stack, and counts it among the run's warnings, until the returned
 * function is called. Errors are handled where they happen; this is for those that were overlooked.
 * The run is safe either way: what it has not committed is done again.
 */
export function catchFaults(log: Logger, emit: EmitEvent): () => void {
  let count = 0;
  let ofMinute = 0;
  let sinceMs = performance.now();
  const stop = (): void => void process.off('unhandledRejection', caught).off('uncaughtException', caught);
  const caught = (reason: unknown): void => {
    const error = reason instanceof Error ? reason : new Error(String(reason));
    if (performance.now() - sinceMs > MINUTE_MS) {
      sinceMs = performance.now();
      ofMinute = 0;
    }
    if (++ofMinute > MOST_A_MINUTE) {
      stop();
      throw error;
    }
    const message = `a fault of the server that ends nothing; please report it: ${error.message}`;
    log.error({ stack: error.stack }, message);
    if (++count <= TOLD) emit({ type: 'warning', message });
  };
  process.on('unhandledRejection', caught).on('uncaughtException', caught);
  return stop;
}
