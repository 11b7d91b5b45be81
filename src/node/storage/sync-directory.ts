// Makes the entries of a directory durable: a new or renamed file survives a crash only after this.
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { ioError } from './io-error.js';

/**
 * Flushes a directory to the disk; throws `io`. Does nothing on Windows, where a directory cannot
 * be opened and the file system journals its entries.
 */
export function syncDirectory(path: string): void {
  if (process.platform === 'win32') return;
  try {
    const descriptor = openSync(path, 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    // Some network and FUSE file systems have no fsync for directories; nothing more can be done
    // there.
    if ((cause as NodeJS.ErrnoException).code === 'EINVAL') return;
    throw ioError(cause, 'sync', path);
  }
}
