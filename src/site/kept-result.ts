// A site's result from when it is coded until the server has it: a site that was killed in between sends it without training again.
import { z } from 'zod';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type ResultFigures, resultSchema, type Task } from '../exchange/task.js';
import { type SpoolInfo, spoolInfo } from '../transfer/spool.js';

/** One at a time: a site has one task. */
export const RESULT_SPOOL = 'result.spool';
const RESULT_FILE = 'result.json';

const keptSchema = z.strictObject({ task: z.string(), object: z.string(), figures: resultSchema, digest: z.string() });

/** Says of which task the spool is the result. Returns once it is durable. */
export async function keepResult(folder: Folder, task: Task, figures: ResultFigures, digest: string): Promise<void> {
  await writeText(folder, RESULT_FILE, JSON.stringify({ task: task.id, object: objectOf(task), figures, digest }));
}

/** The result of exactly this task, where it is here whole. */
export async function keptResult(folder: Folder, task: Task): Promise<{ figures: ResultFigures; info: SpoolInfo } | undefined> {
  const kept = await readState(folder, RESULT_FILE, keptSchema);
  if (kept?.task !== task.id || kept.object !== objectOf(task)) return undefined;
  const info = await spoolInfo(folder, RESULT_SPOOL);
  return info.digest === kept.digest ? { figures: kept.figures, info } : undefined;
}

/** No other broadcast's task has it, of this run or another. */
function objectOf({ model }: Task): string {
  return model?.whole.object ?? '';
}

export async function dropResult(folder: Folder): Promise<void> {
  await folder.remove(RESULT_FILE);
  await folder.remove(RESULT_SPOOL);
}
