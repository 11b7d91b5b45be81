// The exit codes of the command, and the line that reports a failure.
import { CommanderError } from 'commander';
import { asFedStreamError, type ErrorCode } from '../core/errors.js';

/** Exit codes of the command. */
export const EXIT = {
  ok: 0,
  /** The work failed: a lost site, a full disk, a bug. */
  failed: 1,
  /** The input cannot be used: an argument, a job, a data file, a model. */
  badInput: 2,
  /** Stopped by Ctrl-C or a signal; what was finished is kept. */
  stopped: 130,
} as const;

const BAD_INPUT: ReadonlySet<ErrorCode> = new Set([
  'bad-argument',
  'bad-data',
  'bad-job',
  'bad-model',
  'bad-tensor-file',
  'bad-manifest',
  'not-found',
]);

/** Writes the line of an error with `write`; returns the exit code. */
export function reportFailure(error: unknown, write: (line: string) => void): number {
  // commander has already written its own line.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.badInput;
  const failure = asFedStreamError(error);
  if (failure.code === 'aborted') {
    write(`fedstream: stopped: ${failure.message}`);
    return EXIT.stopped;
  }
  write(`fedstream: ${failure.message} [${failure.code}]`);
  if (failure.code === 'internal' && failure.stack && process.env.FEDSTREAM_DEBUG)
    for (const line of failure.stack.split('\n')) write(line);
  return BAD_INPUT.has(failure.code) ? EXIT.badInput : EXIT.failed;
}
