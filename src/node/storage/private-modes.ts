// Permissions of what FedStream writes: models, data, optimizer states and logs are the business of
// the user who runs it, and of nobody else on the machine.
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** The mode of a new file: its owner reads and writes it. */
export const PRIVATE_FILE = 0o600;
/** The mode of a new folder: its owner alone may enter it. */
export const PRIVATE_FOLDER = 0o700;

/**
 * Makes a folder and those above it that are missing, for the owner alone. Folders that exist keep
 * their modes. Returns the first one that was made; undefined if all were there.
 */
export function makePrivateFolder(path: string): string | undefined {
  try {
    return mkdirSync(path, { recursive: true, mode: PRIVATE_FOLDER });
  } catch (error) {
    // Node says so of a read-only disk, too, though only the folder that is to be made is missing.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') accessSync(existing(path), constants.W_OK);
    throw error;
  }
}

/** The nearest folder above that exists. */
function existing(path: string): string {
  const parent = dirname(path);
  return parent === path || existsSync(parent) ? parent : existing(parent);
}
