// Ends a program with all that it started: its process group, and whoever still carries its mark in a session of its own.
import { readdirSync, readFileSync } from 'node:fs';

/** Signals a whole group; one that is gone is no error. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {}
}

/**
 * Kills the processes whose environment has `variable=value`, a value that no other program was given: launchers such as torchrun put their
 * workers into sessions of their own, which a signal to the group does not reach. Linux shows environments; elsewhere the group is all there is.
 */
export function killMarked(variable: string, value: string): void {
  const mark = `${variable}=${value}`;
  for (const entry of ignoreErrors(() => readdirSync('/proc')) ?? []) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environment = ignoreErrors(() => readFileSync(`/proc/${entry}/environ`, 'utf8'));
    if (environment?.split('\0').includes(mark)) ignoreErrors(() => process.kill(pid, 'SIGKILL'));
  }
}

/** A process may be gone, or another user's, between two looks. */
function ignoreErrors<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
