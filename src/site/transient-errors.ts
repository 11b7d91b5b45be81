// Transient errors: the other side was not reached, or one side is stopping; the request itself was
// not refused.
import { asFedStreamError, type ErrorCode, type FedStreamError } from '../core/errors.js';

const TRANSIENT: ReadonlySet<ErrorCode> = new Set(['closed', 'timeout', 'aborted']);
/** Bytes were damaged on their way; the next connection may be better. */
const DAMAGED: ReadonlySet<ErrorCode> = new Set(['bad-frame', 'checksum', 'digest']);

/**
 * Tells whether to try again over another connection: always where the connection broke, and a
 * limited number of times where data arrived damaged. `limit` counts as damage where it ended the
 * session (a damaged frame length); otherwise it is the server's answer.
 */
export function isWorthARetry({ code }: FedStreamError, damagedBefore: number, sessionEnded: boolean): boolean {
  if (DAMAGED.has(code) || (code === 'limit' && sessionEnded)) return damagedBefore < MOST_DAMAGED;
  return code === 'closed' || code === 'timeout';
}

/**
 * A connection that damages more than this in one exchange is defective, or the other side speaks
 * another protocol.
 */
const MOST_DAMAGED = 20;

/**
 * Tells whether the same request can succeed later, perhaps from a later process: the connection
 * broke, timed out, or the work was stopped.
 */
export function isTransient(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || TRANSIENT.has(asFedStreamError(error).code);
}
