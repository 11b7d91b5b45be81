// Keeps two sites, or one site twice, from working in the same folder.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type FolderLock, inTime, isLocked, lockFolder } from '../node/storage/folder-lock.js';
import type { RunPlaces } from '../site/run-place.js';
import { ORPHAN_MS } from './run-locks.js';

const LOCK = 'site.lock';
const ADVICE = 'give this one a folder of its own (--work)';

/** The site, its server, and the folder that it was given, if any. */
export interface LockedSite {
  readonly site: string;
  readonly connect: string;
  readonly run?: string;
  readonly work?: string;
  /** True for a site of a simulation: that of one that was killed is waited for, it ends by itself. */
  readonly supervised?: boolean;
}

/** The locks of a site's work folder. */
export interface WorkLocks extends RunPlaces {
  release(): void;
}

/**
 * Locks a folder that the site was given for the site alone. The default folder may be used by
 * several runs of the site at once: what is locked there is the way to the server, since a second
 * session would end the first one, and the run's own folder once it is known. Throws
 * `bad-argument`, with the holder.
 */
export async function lockWork(work: string, { site, connect, run, work: given, supervised }: LockedSite): Promise<WorkLocks> {
  const locks: FolderLock[] = [];
  const what = `the site ${site} of ${connect}`;
  const way = createHash('sha256')
    .update(`${connect} ${run ?? ''}`)
    .digest('hex')
    .slice(0, 12);
  const name = given === undefined ? `server-${way}.lock` : LOCK;
  locks.push(await inTime(() => lockFolder(work, { name, what, advice: ADVICE }), supervised ? ORPHAN_MS : 0));
  return {
    enter: (name) => void locks.push(lockFolder(join(work, name), { name: LOCK, what, advice: ADVICE })),
    inUse: (name) => isLocked(join(work, name), LOCK),
    release: () => {
      for (const lock of locks.splice(0).reverse()) lock.release();
    },
  };
}
