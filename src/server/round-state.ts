// What a round keeps on disk beside its spools, so that a server that was killed goes on in the middle of it: a part of the journal.
import { z } from 'zod';
import type { Folder } from '../core/storage.js';
import { writeText } from '../core/storage-text.js';
import { readState } from '../exchange/state-file.js';
import { type ResultFigures, resultSchema } from '../exchange/task.js';

const digest = z.string().regex(/^[0-9a-f]{32}$/);

const roundSchema = z.strictObject({
  round: z.int().min(0),
  /** Under which name the broadcast is offered: no other broadcast has it, of this run or another. */
  object: z.string().min(1).max(200),
  /** Of the broadcast's spool, where there is one. */
  digest: digest.optional(),
});

/** The broadcast of a round. */
export type RoundState = z.output<typeof roundSchema>;

const resultStateSchema = z.strictObject({
  figures: resultSchema,
  /** The stream's name for it: a site that was not told sends it again under the same. */
  objectId: z.string().min(1).max(256).optional(),
  /** Of the site's spool, as it was verified. */
  digest,
});

/** A site's result that was verified and is safe. */
export interface ResultState {
  readonly figures: ResultFigures;
  readonly objectId?: string | undefined;
  readonly digest: string;
}

const ROUND_FILE = 'round.json';

export function readRoundState(folder: Folder): Promise<RoundState | undefined> {
  return readState(folder, ROUND_FILE, roundSchema);
}

export async function writeRoundState(folder: Folder, state: RoundState): Promise<void> {
  await writeText(folder, ROUND_FILE, JSON.stringify(state));
}

export function readResultState(folder: Folder, site: string): Promise<ResultState | undefined> {
  return readState(folder, resultFile(site), resultStateSchema);
}

export async function writeResultState(folder: Folder, site: string, state: ResultState): Promise<void> {
  await writeText(folder, resultFile(site), JSON.stringify(state));
}

function resultFile(site: string): string {
  return `${site}.result.json`;
}
