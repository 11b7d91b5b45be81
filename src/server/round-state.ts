// The state of a round on disk, beside its spools, with which a server that was killed continues in
// the middle of a round.

import { z } from 'zod';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type ResultFigures, resultSchema, taskSchema } from '../exchange/task.js';
import type { Norms } from './norm-bound.js';
import type { Answer } from './task-board.js';

const digest = z.string().regex(/^[0-9a-f]{32}$/);

const broadcastSchema = z.strictObject({
  /** The name under which the broadcast is offered; unique among all broadcasts of all runs. */
  object: z.string().min(1).max(200),
  /** Digest of the broadcast's spool, where there is one. */
  digest: digest.optional(),
});

/** A broadcast of whole models. */
export type BroadcastState = z.output<typeof broadcastSchema>;

const replySchema = z.strictObject({
  figures: resultSchema,
  /**
   * The stream's object id: a site that received no confirmation sends the answer again with the
   * same id.
   */
  objectId: z.string().min(1).max(256).optional(),
  /** Digest of the answer's spool as it was verified; missing for figures alone. */
  digest: digest.optional(),
  /** L2 norms of the answer's update and extras. */
  norms: z.record(z.string(), z.number().min(0)).optional(),
});

/** A site's answer that was verified and is safe on disk. */
export interface ReplyState {
  readonly figures: ResultFigures;
  readonly objectId?: string | undefined;
  readonly digest?: string | undefined;
  readonly norms?: Norms | undefined;
}

const answersSchema = z.array(
  z.strictObject({
    site: z.string(),
    status: z.enum(['done', 'failed', 'silent', 'late']),
    reason: z.string().optional(),
  }),
);

const askSchema = z.strictObject({
  task: taskSchema,
  /** The file of the run folder with the server's own model as it was offered. */
  master: z.string().min(1).max(256),
  /** The file with the model that the site then holds, where that is another. */
  held: z.string().min(1).max(256).optional(),
});

/** An ask that outlives commits: the task as the site got it, and the files of its offer. */
export type AskState = z.output<typeof askSchema>;

const arrivalsSchema = z.array(
  z.strictObject({
    site: z.string(),
    task: z.string(),
    status: z.enum(['done', 'failed', 'silent', 'late']),
    reason: z.string().optional(),
  }),
);

/** An answer to an ask that outlives commits, as it is noted when it comes. */
export type ArrivalState = z.output<typeof arrivalsSchema>[number];

/** Reads an ask that outlives commits; undefined where there is none. */
export function readAskState(folder: Folder, taskId: string): Promise<AskState | undefined> {
  return readState(folder, askFile(taskId), askSchema);
}

/** Writes an ask that outlives commits; returns once it is durable. */
export async function writeAskState(folder: Folder, state: AskState): Promise<void> {
  await writeText(folder, askFile(state.task.id), jsonText(state, askFile(state.task.id)));
}

/** Reads the answers that have come in the round of the folder, in their order. */
export async function readArrivals(folder: Folder): Promise<readonly ArrivalState[]> {
  return (await readState(folder, ARRIVALS, arrivalsSchema)) ?? [];
}

/** Writes the answers that have come in the round; returns once they are durable. */
export async function writeArrivals(folder: Folder, arrivals: readonly ArrivalState[]): Promise<void> {
  await writeText(folder, ARRIVALS, jsonText(arrivals, ARRIVALS));
}

/** Reads the state of a broadcast; undefined where there is none. */
export function readBroadcastState(folder: Folder, version: number): Promise<BroadcastState | undefined> {
  return readState(folder, broadcastFile(version), broadcastSchema);
}

/** Writes the state of a broadcast; returns once it is durable. */
export async function writeBroadcastState(folder: Folder, version: number, state: BroadcastState): Promise<void> {
  await writeText(folder, broadcastFile(version), jsonText(state, broadcastFile(version)));
}

/** Reads the state of a task's answer; undefined where there is none. */
export function readReplyState(folder: Folder, taskId: string): Promise<ReplyState | undefined> {
  return readState(folder, replyFile(taskId), replySchema);
}

/** Removes the state of a task's answer: the site is asked again. */
export async function removeReplyState(folder: Folder, taskId: string): Promise<void> {
  await folder.remove(replyFile(taskId));
}

/** Writes the state of a task's answer; returns once it is durable. */
export async function writeReplyState(folder: Folder, taskId: string, state: ReplyState): Promise<void> {
  await writeText(folder, replyFile(taskId), jsonText(state, replyFile(taskId)));
}

/**
 * Reads which sites had answered, and which had been given up, when the wait of that number ended.
 * The answers themselves are not part of it.
 */
export async function readGathered(folder: Folder, number: number): Promise<z.output<typeof answersSchema> | undefined> {
  return readState(folder, gatheredFile(number), answersSchema);
}

/** Writes how the wait of that number ended; returns once it is durable. */
export async function writeGathered(folder: Folder, number: number, answers: readonly Answer[]): Promise<void> {
  const lines = answers.map((answer) => ({
    site: answer.site,
    status: answer.status,
    ...('reason' in answer && { reason: answer.reason }),
  }));
  await writeText(folder, gatheredFile(number), jsonText(lines, gatheredFile(number)));
}

const ARRIVALS = 'arrivals.json';

function askFile(taskId: string): string {
  return `${taskId}.ask.json`;
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
