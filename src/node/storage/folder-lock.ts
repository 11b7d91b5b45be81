// Locks a folder for one process at a time, with a file that says who holds it and since when.
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import { jsonText } from '../../core/json-text.js';
import { ioError } from './io-error.js';
import { makePrivateFolder, PRIVATE_FILE } from './private-modes.js';
import { identitySchema, lives, ownIdentity } from './process-identity.js';

const holderSchema = identitySchema.extend({
  /** What the process does with the folder, in words: `the site lab`. */
  what: identitySchema.shape.host,
  /** ISO 8601. */
  since: identitySchema.shape.host,
});

/** The holder writes its file anew so often, for those who cannot see its process. */
const BEAT_MS = 20_000;
/** A holder that cannot be seen is gone when its file was not written for so long. */
const GONE_MS = 300_000;
/** Others may take over a lock at the same time; each try goes further than the last. */
const TRIES = 50;
const LOOK_MS = 100;

/** What a lock is for, and the advice for a person who meets it. */
export interface LockOptions {
  /** The lock's file in the folder. */
  readonly name: string;
  /** What this process does with the folder, in words: `the site lab`. */
  readonly what: string;
  /** What to do if it is held: `use another folder (--work)`. */
  readonly advice: string;
}

/** A lock that this process holds until it releases it, or ends. */
export interface FolderLock {
  release(): void;
}

/**
 * Locks a folder, which is made if it is missing. Throws `bad-argument`, with the holder, where
 * another process holds it; one that has died holds nothing.
 */
export function lockFolder(path: string, options: LockOptions): FolderLock {
  const file = join(path, options.name);
  const text = `${jsonText({ ...ownIdentity(), what: options.what, since: new Date().toISOString() }, file)}\n`;
  try {
    makePrivateFolder(path);
    take(path, file, text, options);
  } catch (cause) {
    throw cause instanceof FedStreamError ? cause : ioError(cause, 'lock', path);
  }
  const beat = setInterval(() => {
    if (read(file) === text) quietly(() => writeFileSync(file, text, { flag: 'r+' }));
  }, BEAT_MS);
  beat.unref();
  const release = (): void => {
    clearInterval(beat);
    process.off('exit', release);
    if (read(file) === text) rmSync(file, { force: true });
  };
  process.once('exit', release);
  return { release };
}

/** Tries until it succeeds or the time is over; then throws the last error. */
export async function inTime<T>(action: () => T, waitMs: number): Promise<T> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    try {
      return action();
    } catch (error) {
      if (performance.now() >= endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

/** Throws as `lockFolder` does where a living process holds the lock. */
export function checkUnlocked(path: string, { name, advice }: Pick<LockOptions, 'name' | 'advice'>): void {
  const file = join(path, name);
  const text = read(file);
  if (text !== undefined && isHeld(path, file, text)) throw held(path, file, text, advice);
}

/** Tells whether a living process holds the lock of that name. */
export function isLocked(path: string, name: string): boolean {
  const file = join(path, name);
  const text = read(file);
  return text !== undefined && isHeld(path, file, text);
}

function take(path: string, file: string, text: string, { advice }: LockOptions): void {
  for (let tries = 0; tries < TRIES; tries++) {
    if (createWhole(file, text)) return;
    const found = read(file);
    if (found === undefined) continue; // released meanwhile
    if (isHeld(path, file, found)) throw held(path, file, found, advice);
    takeAway(file, found);
  }
  throw new FedStreamError('io', `${file} cannot be taken: other processes take it again and again`);
}

/** Removes the file of a dead holder, unless another process has taken its place meanwhile. */
function takeAway(file: string, dead: string): void {
  const aside = `${file}.${process.pid}.${crypto.randomUUID().slice(0, 8)}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (read(aside) !== dead) quietly(() => linkSync(aside, file));
  rmSync(aside, { force: true });
}

/** Creates the file with all of its text; false where there is one. */
function createWhole(file: string, text: string): boolean {
  const aside = `${file}.${process.pid}.${crypto.randomUUID().slice(0, 8)}`;
  writeFileSync(aside, text, { flag: 'wx', mode: PRIVATE_FILE });
  try {
    linkSync(aside, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    return createDirectly(file, text); // a file system without links
  } finally {
    rmSync(aside, { force: true });
  }
}

function createDirectly(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: PRIVATE_FILE });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function isHeld(path: string, file: string, text: string): boolean {
  const holder = holderOf(text);
  const alive = holder && lives(holder);
  return alive ?? ageMs(path, file) < GONE_MS;
}

/** How long ago the file was written, by the clock of its own disk, which may be another machine's. */
function ageMs(path: string, file: string): number {
  const probe = join(path, `.clock-${process.pid}-${crypto.randomUUID().slice(0, 8)}`);
  try {
    writeFileSync(probe, '', { flag: 'wx', mode: PRIVATE_FILE });
    return statSync(probe).mtimeMs - statSync(file).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Number.POSITIVE_INFINITY;
    throw error;
  } finally {
    rmSync(probe, { force: true });
  }
}

function held(path: string, file: string, text: string, advice: string): FedStreamError {
  const holder = holderOf(text);
  if (!holder) return new FedStreamError('bad-argument', `${path} is in use: ${file} says so. If nothing uses it, remove that file`);
  const { what, pid, host, since } = holder;
  const gone =
    lives(holder) === undefined ? `; if that process is gone, remove ${file}, or wait ${GONE_MS / 60_000} minutes from its end` : '';
  return new FedStreamError(
    'bad-argument',
    `${path} is in use by ${what} (process ${pid} on ${host}) since ${since}: end that one first, or ${advice}${gone}`,
  );
}

function holderOf(text: string) {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // The next beat, or whoever looks next, finds what there is.
  }
}
