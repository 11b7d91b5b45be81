// Makes the entries of a directory durable: a new or renamed file survives a crash only after this.
import { close, fsync, open } from 'node:fs';
import { promisify } from 'node:util';
import { ioError } from './io-error.js';

const opened = promisify(open);
const synced = promisify(fsync);
const closed = promisify(close);

/**
 * Flushes a directory to the disk, beside the thread: a disk under load takes its time. Throws
 * `io`. Does nothing on Windows, where a directory cannot
 * be opened and the file system journals its entries.
 */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  try {
    const descriptor = await opened(path, 'r');
    try {
      await synced(descriptor);
    } finally {
      await closed(descriptor);
    }
  } catch (cause) {
    // Some network and FUSE file systems have no fsync for directories; nothing more can be done
    // there.
    if ((cause as NodeJS.ErrnoException).code === 'EINVAL') return;
    throw ioError(cause, 'sync', path);
  }
}
