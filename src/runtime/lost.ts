// Which failures say nothing against what was asked or sent: the other side was not reached, or was stopped.
import { asFedStreamError, type ErrorCode } from '../core/errors.js';

const LOST: ReadonlySet<ErrorCode> = new Set(['closed', 'timeout', 'aborted']);

/** Whether it can be asked or sent again, later or by a later process. */
export function isLost(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || LOST.has(asFedStreamError(error).code);
}
