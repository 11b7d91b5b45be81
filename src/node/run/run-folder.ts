// Makes and finds run folders: `runs/<name>/`, and `runs/latest`, a link to the newest.
import { existsSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import { NAME_PATTERN } from '../../job/job.js';
import { makePrivateFolder } from '../storage/private-modes.js';

/**
 * Makes the folder of a new run. Without a name, it is called after the time and `kind`. Throws
 * `bad-argument` for a folder that holds a run, `io` if it cannot be made.
 */
export function createRunFolder(parent: string, name: string | undefined, kind: string): string {
  if (name !== undefined && (!NAME_PATTERN.test(name) || name === 'latest')) {
    throw new FedStreamError(
      'bad-argument',
      `--name ${JSON.stringify(name)}: a run's name is 1 to 64 letters, digits, dots, dashes or underscores, and not "latest"`,
    );
  }
  const path = resolve(parent, name ?? `${timestamp(new Date())}-${kind}`);
  try {
    makePrivateFolder(path);
    if (readdirSync(path).length > 0) {
      throw new FedStreamError('bad-argument', `${path} already holds a run; choose another --name, or go on with it: --resume ${path}`);
    }
    pointLatest(path);
  } catch (cause) {
    if (cause instanceof FedStreamError) throw cause;
    throw new FedStreamError('io', `cannot make the run folder ${path}: ${(cause as Error).message}. Choose another --out`, { cause });
  }
  return path;
}

/** The folder of a run to be resumed; throws `not-found` if it is not one. */
export function findRunFolder(path: string): string {
  const folder = resolve(path);
  if (existsSync(join(folder, 'job.json'))) return folder;
  throw new FedStreamError('not-found', `${folder} is not a run folder (it has no job.json); name one such as runs/latest`);
}

function pointLatest(path: string): void {
  const latest = join(dirname(path), 'latest');
  rmSync(latest, { force: true });
  symlinkSync(basename(path), latest, 'dir');
}

function timestamp(now: Date): string {
  return now.toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '');
}
