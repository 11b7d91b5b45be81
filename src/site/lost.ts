// Which failures say nothing against what was asked or sent: the other side was not reached, or was stopped.
import { asFedStreamError, type ErrorCode, type FedStreamError } from '../core/errors.js';

const LOST: ReadonlySet<ErrorCode> = new Set(['closed', 'timeout', 'aborted']);
/** Bytes were damaged on their way: the next connection may be better. */
const DAMAGED: ReadonlySet<ErrorCode> = new Set(['bad-frame', 'checksum', 'digest']);

/**
 * Whether another connection is worth a try: always where this one was lost, so many times where what came was damaged. `limit` is damage where it
 * ended the session (the length of a frame), and an answer where it did not.
 */
export function isWorthARetry({ code }: FedStreamError, damagedBefore: number, sessionEnded: boolean): boolean {
  if (DAMAGED.has(code) || (code === 'limit' && sessionEnded)) return damagedBefore < MOST_DAMAGED;
  return code === 'closed' || code === 'timeout';
}

/** A link that damages more in one exchange is broken, or the other side speaks another protocol. */
const MOST_DAMAGED = 20;

/** Whether it can be asked or sent again, later or by a later process. */
export function isLost(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || LOST.has(asFedStreamError(error).code);
}
