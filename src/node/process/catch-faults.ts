// The last net of a server: a promise that fails where nobody waits for it is a fault of this
// program, and no reason to end the runs and sessions that have nothing to do with it.
import type { Logger } from '../../core/log.js';
import type { EmitEvent } from '../../record/events.js';

/** Faults that are among the warnings of the run; the log has all. */
const TOLD = 10;

/**
 * Logs each such failure with its stack, and counts it among the run's warnings, until the returned
 * function is called. Exceptions that are thrown, as by a timer, still end the process: the run goes
 * on from its folder.
 */
export function catchFaults(log: Logger, emit: EmitEvent): () => void {
  let count = 0;
  const caught = (reason: unknown): void => {
    const error = reason instanceof Error ? reason : new Error(String(reason));
    const message = `a fault of the server that ends nothing; please report it: ${error.message}`;
    log.error({ stack: error.stack }, message);
    if (++count <= TOLD) emit({ type: 'warning', message });
  };
  process.on('unhandledRejection', caught);
  return () => void process.off('unhandledRejection', caught);
}
