// Files with secrets: only their owner may read them, and one that others can read is refused.
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { FedStreamError } from '../../core/errors.js';
import { ioError } from '../storage/io-error.js';

/** The bits of a mode that let somebody else than the owner in. */
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

/**
 * Reads a text that nobody else may read. Throws `bad-argument` where the file's mode lets others
 * read or change it (not on Windows, which has no modes), `not-found` or `io` where it cannot be
 * read.
 */
export function readSecretText(path: string): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    // The mode of the file that is read, whatever its path leads to a moment later.
    const { mode } = fstatSync(descriptor);
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0) throw looseMode(path, mode);
    return readFileSync(descriptor, 'utf8');
  } catch (cause) {
    throw ioError(cause, 'read', path);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Writes a text that only its owner can read, whole or not at all. Throws `io`. */
export function writeSecretText(path: string, text: string): void {
  const part = `${path}.part`;
  try {
    rmSync(part, { force: true });
    // `wx`: a file that somebody else put there meanwhile is not written into.
    writeFileSync(part, text, { mode: 0o600, flag: 'wx' });
    renameSync(part, path);
  } catch (cause) {
    throw ioError(cause, 'write', path);
  }
}

/**
 * Makes a folder for secrets, which only its owner may enter, and the folders above it. Throws
 * `bad-argument` where one is there in which others may put files, `io` where it cannot be made.
 */
export function makeSecretFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const { mode } = statSync(path);
    if (process.platform !== 'win32' && (mode & OTHERS_WRITE) !== 0)
      throw new FedStreamError('bad-argument', `others may put files into ${path}, which is for secrets; run: chmod go-w ${path}`);
  } catch (cause) {
    throw ioError(cause, 'make', path);
  }
}

function looseMode(path: string, mode: number): FedStreamError {
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  return new FedStreamError(
    'bad-argument',
    `${path} holds a secret, and others than its owner may use it (mode ${octal}); run: chmod 600 ${path}`,
  );
}
