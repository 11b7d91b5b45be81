// The folder in which a site keeps all that belongs to one run: no other run reads it, whatever its
// rounds and files are called.
import { toHex } from '../core/hex.js';
import type { Folder } from '../core/storage.js';

/** Begins the names of such folders. */
const PREFIX = 'run-';
/** Ids that are names of folders as they are, on systems that tell no capitals apart too. */
const PLAIN = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** The folder's name. The id comes from a server, so it may be any text. */
export function nameOfRun(run: string): string {
  return `${PREFIX}${PLAIN.test(run) ? run : `_${toHex(new TextEncoder().encode(run))}`}`;
}

/** The folder of a run below a site's own. */
export function folderOfRun(folder: Folder, run: string): Folder {
  return folder.folder(nameOfRun(run));
}

/** The names of all such folders below a site's own. */
export async function runsIn(folder: Folder): Promise<string[]> {
  return (await folder.list()).filter((name) => name.startsWith(PREFIX));
}

/** Keeps other processes out of the folders of runs, by their names (`nameOfRun`). */
export interface RunPlaces {
  /** Takes the folder of the run that was joined; throws where another process has it. */
  enter(name: string): void;
  /** Tells whether another process works in it now. */
  inUse(name: string): boolean;
}
