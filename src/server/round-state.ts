// What a round keeps on disk beside its spools, so that a server that was killed goes on in the middle of it: a part of the journal.
import { z } from 'zod';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type ResultFigures, resultSchema } from '../exchange/task.js';
import type { Answer } from './task-board.js';

const digest = z.string().regex(/^[0-9a-f]{32}$/);

const broadcastSchema = z.strictObject({
  /** Under which name the broadcast is offered: no other broadcast has it, of this run or another. */
  object: z.string().min(1).max(200),
  /** Of the broadcast's spool, where there is one. */
  digest: digest.optional(),
});

/** A broadcast of whole models. */
export type BroadcastState = z.output<typeof broadcastSchema>;

const replySchema = z.strictObject({
  figures: resultSchema,
  /** The stream's name for it: a site that was not told sends it again under the same. */
  objectId: z.string().min(1).max(256).optional(),
  /** Of the reply's spool, as it was verified; missing where it is figures alone. */
  digest: digest.optional(),
});

/** A site's answer that was verified and is safe. */
export interface ReplyState {
  readonly figures: ResultFigures;
  readonly objectId?: string | undefined;
  readonly digest?: string | undefined;
}

const answersSchema = z.array(
  z.strictObject({
    site: z.string(),
    status: z.enum(['done', 'failed', 'silent', 'late']),
    reason: z.string().optional(),
  }),
);

export function readBroadcastState(folder: Folder, version: number): Promise<BroadcastState | undefined> {
  return readState(folder, broadcastFile(version), broadcastSchema);
}

export async function writeBroadcastState(folder: Folder, version: number, state: BroadcastState): Promise<void> {
  await writeText(folder, broadcastFile(version), JSON.stringify(state));
}

export function readReplyState(folder: Folder, taskId: string): Promise<ReplyState | undefined> {
  return readState(folder, replyFile(taskId), replySchema);
}

export async function writeReplyState(folder: Folder, taskId: string, state: ReplyState): Promise<void> {
  await writeText(folder, replyFile(taskId), JSON.stringify(state));
}

/** Who had answered, and who had been given up, when the wait of that number ended; without what they said. */
export async function readGathered(folder: Folder, number: number): Promise<z.output<typeof answersSchema> | undefined> {
  return readState(folder, gatheredFile(number), answersSchema);
}

export async function writeGathered(folder: Folder, number: number, answers: readonly Answer[]): Promise<void> {
  const lines = answers.map((answer) => ({
    site: answer.site,
    status: answer.status,
    ...('reason' in answer && { reason: answer.reason }),
  }));
  await writeText(folder, gatheredFile(number), JSON.stringify(lines));
}

function broadcastFile(version: number): string {
  return `broadcast-${version}.json`;
}

function replyFile(taskId: string): string {
  return `${taskId}.result.json`;
}

function gatheredFile(number: number): string {
  return `gathered-${number}.json`;
}
