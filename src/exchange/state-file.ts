// Small state that a process keeps beside its work, as JSON files: written under another name and
// renamed.
import type { z } from 'zod';
import type { Folder } from '../core/storage.js';
import { readText } from '../core/storage-text.js';

/**
 * Reads a state; undefined where there is none. A file that does not match the schema was not
 * written by this version: it is ignored, and the work is done again.
 */
export async function readState<T>(folder: Folder, name: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readText(folder, name);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
