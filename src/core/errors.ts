// The one error class of FedStream and its closed list of codes.
import { BUDGETS } from './budgets.js';
import { visible } from './visible.js';

/** Every code that FedStream throws. `docs/errors.md` explains each; a test holds the two equal. */
export const ERROR_CODES = [
  'aborted', // stopped on purpose: Ctrl-C, abort signal, the other side's abort
  'bad-argument', // a command-line or API argument that cannot be used
  'bad-data', // a data file that cannot be read as instruction data
  'bad-frame', // bytes from a peer that break the wire protocol
  'bad-job', // a job that does not validate
  'bad-manifest', // a manifest that lies or cannot be decoded
  'bad-model', // a model folder or file that does not fit
  'bad-tensor-file', // a safetensors file whose header is truncated or lies
  'checksum', // a chunk whose checksum does not match
  'closed', // a connection, session or stream that ended early
  'digest', // a whole object whose digest does not match
  'internal', // a state that should not be reachable: a bug
  'io', // the operating system refused a read or a write
  'limit', // a length or a count beyond a named limit
  'non-finite', // a NaN or an infinity where a number is needed
  'not-found', // a name that is not there
  'quorum', // too few sites finished a round
  'refused', // the other side said no
  'timeout', // silence for longer than the idle limit
  'trainer', // a site's own training program that crashed, hung or gave a result that does not fit
  'unsupported', // known, but not here
] as const;

/** The kind of an error. The list is closed, so that a program can decide by it. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * An error that a person can act on: the message says what happened, to what, and what to do. It
 * quotes names and texts of peers and files, so characters that a terminal obeys are made visible
 * here, once for all messages, and its length is bounded.
 */
export class FedStreamError extends Error {
  override readonly name = 'FedStreamError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(visible(message, BUDGETS.errorText.limit), options);
    this.code = code;
  }
}

/**
 * Returns the error itself if it is a `FedStreamError`, otherwise one of `code` that keeps it as
 * `cause`; `what` then begins the message.
 */
export function asFedStreamError(error: unknown, code: ErrorCode = 'internal', what = ''): FedStreamError {
  if (error instanceof FedStreamError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new FedStreamError(code, what ? `${what}: ${message}` : message, { cause: error });
}
