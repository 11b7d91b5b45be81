// Keeps two sites, or one site twice, from working in the same folder.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type FolderLock, isLocked, lockFolder, lockInTime } from '../node/storage/folder-lock.js';
import type { RunPlaces } from '../site/run-place.js';

const LOCK = 'site.lock';
const ADVICE = 'give this one a folder of its own (--work)';

/** The site, its server, and the folder that it was given, if any. */
export interface LockedSite {
  readonly site: string;
  readonly connect: string;
  readonly run?: string;
  readonly work?: string;
}

/** The locks of a site's work folder. */
export interface WorkLocks extends RunPlaces {
  release(): void;
}

/**
 * Locks a folder that the site was given for the site alone. The default folder may be used by
 * several runs of the site at once: what is locked there is the way to the server, since a second
 * session would end the first one, and the run's own folder once it is known. Throws
 * `bad-argument`, with the holder, once it was held for `waitMs` more.
 */
export async function lockWork(work: string, { site, connect, run, work: given }: LockedSite, waitMs = 0): Promise<WorkLocks> {
  const locks: FolderLock[] = [];
  const what = `the site ${site}`;
  const way = createHash('sha256')
    .update(`${connect} ${run ?? ''}`)
    .digest('hex')
    .slice(0, 12);
  const name = given === undefined ? `server-${way}.lock` : LOCK;
  locks.push(await lockInTime(work, { name, what: `${what} of ${connect}`, advice: ADVICE }, waitMs));
  return {
    enter: (name) => void locks.push(lockFolder(join(work, name), { name: LOCK, what: `${what} of ${connect}`, advice: ADVICE })),
    inUse: (name) => isLocked(join(work, name), LOCK),
    release: () => {
      for (const lock of locks.splice(0).reverse()) lock.release();
    },
  };
}
