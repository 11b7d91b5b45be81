// Tells processes apart, also one from a later one that has been given the same number.
import { spawnSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';

/** The schema of a process's identity. */
export const identitySchema = z.strictObject({
  pid: z.int().min(1),
  host: z.string(),
  /** Tells hosts of the same name apart, and a host from itself before it was started anew. */
  machine: z.string(),
  /** When the process began, in the system's own words. */
  started: z.string(),
});

/** A process on some machine. */
export type ProcessIdentity = z.output<typeof identitySchema>;

let own: ProcessIdentity | undefined;

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  own ??= { pid: process.pid, host: hostname(), machine: machine(), started: startOf(process.pid) ?? '' };
  return own;
}

/**
 * Tells whether the process lives; undefined where it cannot be seen from here: on another machine,
 * or in another container.
 */
export function lives({ pid, host, machine: where, started }: ProcessIdentity): boolean | undefined {
  const { host: here, machine: this_ } = ownIdentity();
  if (host !== here) return undefined;
  if (where !== this_) return bootOf(where) === bootOf(this_) ? undefined : false;
  const found = startOf(pid);
  return found !== undefined && found === started;
}

/** Where processes are numbered: this start of the machine, and this container. */
function machine(): string {
  return `${read('/proc/sys/kernel/random/boot_id')} ${link('/proc/self/ns/pid')}`;
}

function bootOf(where: string): string {
  return where.split(' ')[0] as string;
}

/** When a process began; undefined where there is none, or where it has ended and is not yet cleared away. */
function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') {
    const [state, ...rest] = read(`/proc/${pid}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ');
    return state === undefined || state === '' || state === 'Z' || state === 'X' ? undefined : (rest[18] as string);
  }
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined;
  }
  if (process.platform === 'win32') return '';
  return spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
