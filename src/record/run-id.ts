// The run's id: a name that no other run has, made once and kept in the run folder.
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';

/** The file that holds it. */
export const RUN_ID_FILE = 'run-name';

/**
 * Makes the id on the first call. Events carry it, and what sites hold is bound to it, so that
 * another run in their folders begins anew.
 */
export async function runIdOf(run: Folder): Promise<string> {
  const known = await readText(run, RUN_ID_FILE);
  if (known !== undefined) return known.trim();
  const id = crypto.randomUUID();
  await writeText(run, RUN_ID_FILE, `${id}\n`);
  return id;
}
