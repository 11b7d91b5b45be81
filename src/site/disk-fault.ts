// Faults of a site's disk: the word for the server, which names nothing of this machine, and the advice for the owner.
import { FedStreamError } from '../core/errors.js';

const FAULTS: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', 'its disk is full'],
  ['EDQUOT', 'the quota of its disk is used up'],
  ['EROFS', 'its disk is read-only'],
  ['EACCES', 'it may not write to its folder'],
  ['EPERM', 'it may not write to its folder'],
]);

/** What is wrong with the disk, for the other side; undefined for any other error. */
export function diskFault(error: unknown): string | undefined {
  let cause = error;
  for (let depth = 0; depth < 5 && cause instanceof Error; depth++) {
    const code: unknown = Reflect.get(cause, 'code');
    if (!(cause instanceof FedStreamError) && typeof code === 'string') return FAULTS.get(code);
    cause = cause.cause;
  }
  return undefined;
}

/** The words of an error for the site's own terminal: with what helps, where it is the disk. */
export function failureWords(failure: FedStreamError): string {
  if (failure.code !== 'io' || diskFault(failure) === undefined) return failure.message;
  return `${failure.message}; this round is lost here, and the next is tried again: the work folder may be moved to another disk (--work)`;
}
