// Keeps two servers, or two simulations, from working on one run.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { checkUnlocked, type FolderLock, inTime, isLocked, lockFolder } from '../node/storage/folder-lock.js';

const SERVER = 'server.lock';
const SIMULATION = 'simulate.lock';
/** A process whose simulation was killed ends by itself within this time, and then holds nothing. */
export const ORPHAN_MS = 15_000;
const advice = 'start another run';

/**
 * Locks a run folder for its server. One that a simulation started is let in by it (`supervised`).
 * Throws `bad-argument`, with the holder.
 */
export function lockServer(runPath: string, supervised: boolean): FolderLock {
  if (!supervised) checkUnlocked(runPath, { name: SIMULATION, advice });
  return lockFolder(runPath, { name: SERVER, what: 'the server of this run', advice });
}

/**
 * Locks a run folder for a simulation, which starts the server itself. The server of a simulation
 * that was killed is waited for: it ends by itself. Throws as `lockServer` does.
 */
export async function lockSimulation(runPath: string): Promise<FolderLock> {
  const orphan = existsSync(join(runPath, SIMULATION)) && !isLocked(runPath, SIMULATION);
  const lock = lockFolder(runPath, { name: SIMULATION, what: 'a simulation', advice });
  try {
    await inTime(() => checkUnlocked(runPath, { name: SERVER, advice }), orphan ? ORPHAN_MS : 0);
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}
