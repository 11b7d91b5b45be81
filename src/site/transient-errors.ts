// Transient errors: the other side was not reached, or one side is stopping; the request itself was
// not refused.
import { asFedStreamError, type ErrorCode, type FedStreamError } from '../core/errors.js';

const TRANSIENT: ReadonlySet<ErrorCode> = new Set(['closed', 'timeout', 'aborted']);
/** Bytes were damaged on their way; the next connection may be better. */
const DAMAGED: ReadonlySet<ErrorCode> = new Set(['bad-frame', 'checksum', 'digest']);

/** What is known of the connection on which an error came up. */
export interface Tried {
  /** How often data arrived damaged before, in one exchange or in one search. */
  readonly damaged: number;
  readonly sessionEnded: boolean;
  /** False where no session was ever begun with this server: the address may be wrong. */
  readonly found: boolean;
  /** True where the server is looked for without an end. */
  readonly forEver?: boolean;
}

/**
 * Tells whether to try again over another connection: always where the connection broke, and a
 * limited number of times where data arrived damaged. `limit` counts as damage where it ended the
 * session (a damaged frame length); otherwise it is the server's answer. A server that was stopped
 * on purpose ends its sites, but not one that looks for it for ever.
 */
export function isWorthARetry({ code }: FedStreamError, { damaged, sessionEnded, found, forEver = false }: Tried): boolean {
  if (DAMAGED.has(code) || (code === 'limit' && sessionEnded)) return damaged < (found ? MOST_DAMAGED : MOST_STRANGE);
  return code === 'closed' || code === 'timeout' || (code === 'aborted' && sessionEnded && forEver);
}

/**
 * A connection that damages more than this in one exchange is defective, or the other side speaks
 * another protocol.
 */
const MOST_DAMAGED = 20;
/** The same before the first session: something else listens there, which is told within seconds. */
const MOST_STRANGE = 4;

/**
 * Tells whether the same request can succeed later, perhaps from a later process: the connection
 * broke, timed out, or the work was stopped.
 */
export function isTransient(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || TRANSIENT.has(asFedStreamError(error).code);
}
