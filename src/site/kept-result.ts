// A site's result, kept from when it is coded until the server has it: a site that was killed in
// between sends it without training again.

import { z } from 'zod';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type ResultFigures, resultSchema, type Task } from '../exchange/task.js';
import { type SpoolInfo, spoolInfo } from '../transfer/spool.js';

/** The spool of the result; one is enough, since a site has one task at a time. */
export const RESULT_SPOOL = 'result.spool';
const RESULT_FILE = 'result.json';

const keptSchema = z.strictObject({ task: z.string(), object: z.string(), figures: resultSchema, digest: z.string() });

/**
 * Records the task that the spooled result belongs to. Both survive a crash of this process; after
 * one of the machine a spool that is damaged is not the one of the digest.
 */
export async function keepResult(folder: Folder, task: Task, figures: ResultFigures, digest: string): Promise<void> {
  const text = jsonText({ task: task.id, object: objectOf(task), figures, digest }, RESULT_FILE);
  await writeText(folder, RESULT_FILE, text, { durable: false });
}

/** The result of exactly this task, where it is complete; undefined otherwise. */
export async function keptResult(folder: Folder, task: Task): Promise<{ figures: ResultFigures; info: SpoolInfo } | undefined> {
  const kept = await readState(folder, RESULT_FILE, keptSchema);
  if (kept?.task !== task.id || kept.object !== objectOf(task)) return undefined;
  const info = await spoolInfo(folder, RESULT_SPOOL);
  return info.digest === kept.digest ? { figures: kept.figures, info } : undefined;
}

/** The name of the task's broadcast, which is unique among all broadcasts of all runs. */
function objectOf({ model, parts }: Task): string {
  return (parts ? parts.models[parts.part - 1]?.model : model)?.whole.object ?? '';
}

/** Removes the kept result, if there is one. */
export async function dropResult(folder: Folder): Promise<void> {
  await folder.remove(RESULT_FILE);
  await folder.remove(RESULT_SPOOL);
}
