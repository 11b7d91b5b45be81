// Reads instruction data from text, in every layout and shape that it has.
import { FedStreamError } from '../../core/errors.js';
import type { NamedFields } from './named-fields.js';
import { type Row, readRows } from './rows.js';
import { parseSample, type Sample } from './sample.js';
import { shapeOf } from './shapes.js';

/** How data are read. */
export interface ReadOptions {
  /** Fields as their owner named them; without it, the shape is recognized. */
  readonly fields?: NamedFields | undefined;
  /**
   * Takes what is said about samples that cannot be used and are left out; without it, the first
   * such sample is an error.
   */
  readonly onSkipped?: ((told: string) => void) | undefined;
}

/** So many reasons are told. */
const MOST_REASONS = 3;

/**
 * Reads lines as they arrive. Throws `bad-data`, which names file and line, if the file is at fault
 * or no sample can be used.
 */
export async function parseData(
  lines: AsyncIterable<string> | Iterable<string>,
  source: string,
  options: ReadOptions = {},
): Promise<Sample[]> {
  const likenessOf = (value: object) => {
    try {
      parseSample(value, source, options.fields);
      return 'sample';
    } catch {
      return options.fields === undefined && !('why' in shapeOf(value)) ? 'shape' : 'none';
    }
  };
  return parseRows(readRows(lines, source, likenessOf), source, options);
}

/** Reads rows; throws as `parseData` does. */
export async function parseRows(
  rows: AsyncIterable<Row> | Iterable<Row>,
  source: string,
  { fields, onSkipped }: ReadOptions,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const reasons: string[] = [];
  let skipped = 0;
  for await (const row of rows) {
    try {
      samples.push(parseRow(row, fields));
    } catch (error) {
      if (!onSkipped || !(error instanceof FedStreamError)) throw error;
      skipped++;
      if (reasons.length < MOST_REASONS) reasons.push(error.message);
    }
  }
  if (samples.length === 0) {
    if (skipped > 0) throw new FedStreamError('bad-data', `none of the ${skipped} samples of ${source} can be used: ${reasons.join('; ')}`);
    throw new FedStreamError('bad-data', `${source} has no samples; it should be a JSON array of samples, or one sample a line`);
  }
  if (skipped > 0) onSkipped?.(`${source}: ${skipped} of ${skipped + samples.length} samples are left out: ${reasons.join('; ')}`);
  return samples;
}

function parseRow({ where, text, value, fault, hint = '' }: Row, fields: NamedFields | undefined): Sample {
  if (fault !== undefined) throw new FedStreamError('bad-data', `${where}: ${fault}`);
  if (text === undefined) return parseSample(value, where, fields);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new FedStreamError('bad-data', `${where}: not JSON: ${(cause as Error).message}${hint}`, { cause });
  }
  return parseSample(parsed, where, fields);
}
