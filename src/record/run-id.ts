// The run's unique id, made once and kept in the run folder.
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';

/** The file that holds the id. */
export const RUN_ID_FILE = 'run-name';

/**
 * Reads the id, or makes it on the first call. Events carry it, and models that sites hold are
 * bound to it, so that another run in the same folders starts afresh.
 */
export async function runIdOf(run: Folder): Promise<string> {
  const known = await readText(run, RUN_ID_FILE);
  if (known !== undefined) return known.trim();
  const id = crypto.randomUUID();
  await writeText(run, RUN_ID_FILE, `${id}\n`);
  return id;
}
