// Finds out before any work whether a folder can be written.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import { nodeFolder } from './node-folder.js';

const NAME = 'can-be-written';

/**
 * Writes a small file into the folder and removes it. Throws `bad-argument`, with the reason and what
 * to do, where that is not possible; `option` is the option that names another folder.
 */
export async function checkWritable(path: string, option: string): Promise<void> {
  try {
    const file = await nodeFolder(path).create(NAME);
    try {
      await file.write(new Uint8Array(4096), 0);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new FedStreamError('bad-argument', `${(cause as Error).message}; ${option} names another folder`, { cause });
  } finally {
    await rm(join(path, NAME), { force: true }).catch(() => {});
  }
}
