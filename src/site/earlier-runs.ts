// What earlier runs left in a site's folder: it is never used, it is named, and it has a bound.
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { jsonText } from '../core/json-text.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { inBytes } from '../transfer/disk-room.js';
import { nameOfRun, runsIn } from './run-place.js';

/** The file in a run's folder that says whose it is. */
const RUN_NOTE = 'run.json';
/** A program's own folder in that of a run; what is in it is the owner's to keep or remove. */
export const TRAINER_FOLDER = 'trainer';

const noteSchema = z.strictObject({ run: z.string(), job: z.string().optional(), joined: z.string() });

/** Folders of a trainer may hold anything; the size of what lies deeper is not looked for. */
const DEEPEST = 16;

/** What versions before this one kept in the site's folder itself. */
const OLD =
  /^(held|residual|trainer|bridge|(policy|repeats|result)\.json|(result|received|extras).*\.spool|(optimizer|control)-\d+\.safetensors)$/;

/** A run whose folder is there. */
interface Earlier {
  readonly name: string;
  /** When the site last joined it, ISO 8601; empty where that is not known. */
  readonly joined: string;
  readonly job: string | undefined;
}

/** The run that a site joins. */
export interface Entered {
  readonly run: string;
  /** The job's name. */
  readonly job?: string | undefined;
}

/** Options of `enterRun`. */
export interface EnterOptions {
  readonly log: Logger;
  /** The most bytes that earlier runs may have together; by default nothing but their number counts. */
  readonly mostBytes?: number | undefined;
  /** Tells whether another process works in the folder of that name now: it is no earlier run's. */
  inUse?: ((name: string) => boolean) | undefined;
  readonly now?: () => Date;
}

/**
 * Notes in the run's folder that it was joined, and looks at what others left: of more than
 * `earlierRuns`, or of more than `mostBytes` together, those that were joined longest ago lose all
 * but the folder of their trainer. The log names what stays and what goes.
 */
export async function enterRun(folder: Folder, { run, job }: Entered, options: EnterOptions): Promise<void> {
  const { log, mostBytes = Number.POSITIVE_INFINITY, inUse = () => false, now = () => new Date() } = options;
  const own = nameOfRun(run);
  const earlier = (await earlierRuns(folder, own)).filter(({ name }) => !inUse(name));
  const note = { run, ...(job !== undefined && { job }), joined: now().toISOString() };
  await writeText(folder.folder(own), RUN_NOTE, jsonText(note, RUN_NOTE));
  let left = earlier.length;
  let bytes = left === 0 ? 0 : await earlierBytes(folder, own);
  for (const one of earlier) {
    if (left <= BUDGETS.earlierRuns.limit && bytes <= mostBytes) break;
    const before = await keptBytes(folder.folder(one.name));
    await removeKept(folder, one.name);
    log.warn(
      { folder: one.name },
      `what ${inWords(one)} had left here was removed (${inBytes(before)}), but for the folder of its trainer`,
    );
    bytes -= before;
    left--;
  }
  const old = (await folder.list()).filter((name) => OLD.test(name));
  if (old.length > 0) log.warn({ names: old }, `${folder.label} has ${old.join(', ')} of an earlier version: it is not used; remove it`);
  const stay = earlier.slice(earlier.length - left);
  if (stay.length > 0)
    log.warn(
      { folders: stay.map(({ name }) => name), bytes },
      `${folder.label} has what ${stay.map(inWords).join(', ')} left (${inBytes(bytes)}): it is not used; remove what you do not need`,
    );
}

/** The bytes that all other runs keep because of a server: all but the folders of their trainers. */
export async function earlierBytes(folder: Folder, own: string): Promise<number> {
  let bytes = 0;
  for (const name of await runsIn(folder)) if (name !== own) bytes += await keptBytes(folder.folder(name));
  return bytes;
}

/** Those with something to lose, the one that was joined longest ago first. */
async function earlierRuns(folder: Folder, own: string): Promise<Earlier[]> {
  const found: Earlier[] = [];
  for (const name of await runsIn(folder)) {
    if (name === own || !(await folder.list(name)).some((entry) => entry !== TRAINER_FOLDER)) continue;
    const note = await readState(folder.folder(name), RUN_NOTE, noteSchema);
    found.push({ name, joined: note?.joined ?? '', job: note?.job });
  }
  return found.sort((a, b) => (a.joined === b.joined ? (a.name < b.name ? -1 : 1) : a.joined < b.joined ? -1 : 1));
}

async function removeKept(folder: Folder, name: string): Promise<void> {
  const entries = await folder.list(name);
  if (!entries.includes(TRAINER_FOLDER) || (await folder.list(`${name}/${TRAINER_FOLDER}`)).length === 0) await folder.remove(name);
  else for (const entry of entries) if (entry !== TRAINER_FOLDER) await folder.remove(`${name}/${entry}`);
}

async function keptBytes(folder: Folder): Promise<number> {
  let bytes = 0;
  for (const name of await folder.list()) if (name !== TRAINER_FOLDER) bytes += await bytesOf(folder, name, DEEPEST);
  return bytes;
}

async function bytesOf(folder: Folder, name: string, deep: number): Promise<number> {
  const size = await folder.sizeBytes(name);
  if (size !== undefined || deep === 0) return size ?? 0;
  let bytes = 0;
  for (const inner of await folder.list(name)) bytes += await bytesOf(folder.folder(name), inner, deep - 1);
  return bytes;
}

function inWords({ name, job, joined }: Earlier): string {
  const when = joined === '' ? '' : `, joined ${joined.slice(0, 16).replace('T', ' ')}`;
  return `${name} (${job === undefined ? 'a job without a name' : `job ${JSON.stringify(job)}`}${when})`;
}
