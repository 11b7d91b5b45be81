// Small states that a process keeps beside its work, as JSON files: written beside and renamed, read back or as if they were not there.
import type { z } from 'zod';
import type { Folder } from '../core/storage.js';
import { readText } from '../core/storage-text.js';

/** Undefined where there is none. What cannot be read was written by nobody here: it is as if it were not there, and the work is done again. */
export async function readState<T>(folder: Folder, name: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readText(folder, name);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
