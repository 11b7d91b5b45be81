// Errors of the operating system in words: what happened, to which file, and what to do.
import { type ErrorCode, FedStreamError } from '../../core/errors.js';

interface Advice {
  readonly code: ErrorCode;
  readonly what: string;
}

/** Advice by `errno` name; any other error keeps the system's own words. */
const ADVICE: Readonly<Record<string, Advice>> = {
  ENOENT: { code: 'not-found', what: 'there is no such file; check the path' },
  ENOTDIR: { code: 'not-found', what: 'a part of the path is a file, not a folder; check the path' },
  ENOSPC: { code: 'io', what: 'the disk is full; free some space, then run the command again' },
  EDQUOT: { code: 'io', what: 'the disk quota is used up; free some space, then run the command again' },
  EFBIG: { code: 'io', what: 'the file system allows no file of that size; use a folder on another one' },
  EACCES: { code: 'io', what: 'permission denied; change the permissions or choose another folder' },
  EPERM: { code: 'io', what: 'the system does not permit it; change the permissions or choose another folder' },
  EROFS: { code: 'io', what: 'the file system is read-only, so it is not writable; choose another folder' },
  EISDIR: { code: 'io', what: 'it is a folder, and a file is needed' },
  ELOOP: { code: 'io', what: 'it is a symbolic link, which is not followed here; put the file itself in its place' },
  EMFILE: { code: 'io', what: 'this process has too many open files; raise the limit (ulimit -n) and run again' },
  ENFILE: { code: 'io', what: 'the machine has too many open files; close some programs and run again' },
  ENAMETOOLONG: { code: 'io', what: 'the name is too long for the file system; choose a shorter one' },
  EIO: { code: 'io', what: 'the disk reported an input/output error; check the disk' },
};

/**
 * Makes the error of a failed operation: `doing` is the verb ("write", "open"), `path` its object.
 * The code is `not-found` or `io`; the cause is kept.
 */
export function ioError(cause: unknown, doing: string, path: string): FedStreamError {
  if (cause instanceof FedStreamError) return cause;
  const errno = (cause as NodeJS.ErrnoException).code ?? '';
  const advice = Object.hasOwn(ADVICE, errno) ? ADVICE[errno] : undefined;
  if (advice) return new FedStreamError(advice.code, `cannot ${doing} ${path}: ${advice.what} (${errno})`, { cause });
  const message = cause instanceof Error ? cause.message : String(cause);
  return new FedStreamError('io', `cannot ${doing} ${path}: ${message}`, { cause });
}
