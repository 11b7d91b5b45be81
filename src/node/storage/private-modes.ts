// Permissions of what FedStream writes: models, data, optimizer states and logs are the business of
// the user who runs it, and of nobody else on the machine.
import { mkdirSync } from 'node:fs';

/** The mode of a new file: its owner reads and writes it. */
export const PRIVATE_FILE = 0o600;
/** The mode of a new folder: its owner alone may enter it. */
export const PRIVATE_FOLDER = 0o700;

/**
 * Makes a folder and those above it that are missing, for the owner alone. Folders that exist keep
 * their modes. Returns the first one that was made; undefined if all were there.
 */
export function makePrivateFolder(path: string): string | undefined {
  return mkdirSync(path, { recursive: true, mode: PRIVATE_FOLDER });
}
