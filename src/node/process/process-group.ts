// Ends a program and all processes that it started.
import { readdirSync, readFileSync } from 'node:fs';

/** Sends a signal to a process group; does nothing if it is gone. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {}
}

/**
 * Kills the processes whose environment has `variable=value`, a value that no other program was
 * given. Launchers such as torchrun put their workers into sessions of their own, which a signal to
 * the group does not reach. Only Linux shows environments; on other systems the group must do.
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

/** Ignores errors: a process may end between two calls, or belong to another user. */
function ignoreErrors<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
