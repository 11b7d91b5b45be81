// A data file of a situation, read as a site or a simulation reads it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readDataFile } from '../../src/node/run/data-files.js';
import { parseNamedFields } from '../../src/trainer/data/named-fields.js';
import type { Surroundings } from './situation.js';

/** Files by name, of which the first is given; or the samples of a JSON lines file. */
export interface DataInput {
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly path?: string;
  readonly samples?: readonly unknown[];
  /** The value of `--fields`. */
  readonly fields?: string;
  readonly strict?: boolean;
}

/** Writes the files and reads them; the samples, or those without a conversation as pairs. */
export async function readInput({ files, path, samples, fields, strict }: DataInput, { folder, warn }: Surroundings): Promise<unknown> {
  const all = files ?? { 'data.jsonl': (samples ?? []).map((sample) => `${JSON.stringify(sample)}\n`).join('') };
  for (const [name, content] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  const given = join(folder, path ?? (Object.keys(all)[0] as string));
  const named = fields === undefined ? undefined : parseNamedFields(fields);
  return readDataFile(given, { fields: named, onSkipped: strict ? undefined : (told) => warn(told) });
}
