// The journal of a run: one line for each finished round, durable before the next begins.

import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { jsonText } from '../core/json-text.js';
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import { meanMetricsSchema, metricsSchema } from '../exchange/task.js';
import { EXTRA_NAME } from '../tensor/extra-names.js';

/** Name of the journal in the run folder. */
export const JOURNAL_FILE = 'journal.jsonl';

const ARRIVED = ['done', 'failed', 'silent', 'late'] as const;

const entrySchema = z.strictObject({
  /** The round; 0 is the initial model. */
  round: z.int().min(0),
  /** The global model's file in the run folder; missing where the model is at the sites alone. */
  model: z.string().min(1).optional(),
  /** Files of the state dicts that the workflow keeps beside the model, by name. */
  state: z.record(z.string().regex(EXTRA_NAME), z.string().min(1)).optional(),
  evaluation: meanMetricsSchema.optional(),
  /** Figures by site, of this model and of others. */
  bySite: z
    .array(
      z.strictObject({
        site: z.string().min(1),
        round: z.int().min(0),
        trained: z.string().min(1).optional(),
        evaluation: metricsSchema.optional(),
        reason: z.string().optional(),
      }),
    )
    .optional(),
  /**
   * The answers that came in the round to asks that outlive commits, in their order, each with the
   * round in which it was asked for.
   */
  arrivals: z.array(z.strictObject({ site: z.string().min(1), round: z.int().min(0), status: z.enum(ARRIVED) })).optional(),
  /** The asks that were open at the commit, or answered and not yet looked at. */
  inFlight: z.array(z.strictObject({ site: z.string().min(1), round: z.int().min(0), task: z.string().min(1) })).optional(),
});

/** A finished round. */
export type JournalEntry = z.output<typeof entrySchema>;

/**
 * Reads the finished rounds, in order. A last line that a crash cut short is ignored. Throws `io`
 * where a line cannot be read.
 */
export async function readJournal(folder: Folder): Promise<JournalEntry[]> {
  const lines = ((await readText(folder, JOURNAL_FILE)) ?? '').split('\n');
  lines.pop(); // text behind the last newline is an unfinished line
  return lines.map((line, index) => parseEntry(line, `${folder.label}/${JOURNAL_FILE} line ${index + 1}`));
}

/**
 * Writes the whole journal under another name and renames it; returns once it is durable. With one
 * line for each round the journal stays small.
 */
export async function writeJournal(folder: Folder, entries: readonly JournalEntry[]): Promise<void> {
  await writeText(folder, JOURNAL_FILE, entries.map((entry) => `${jsonText(entry, JOURNAL_FILE)}\n`).join(''));
}

function parseEntry(line: string, where: string): JournalEntry {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch (cause) {
    throw new FedStreamError('io', `${where} cannot be read; the run cannot go on from it. Start a new run`, { cause });
  }
}
