// Reads a kit: a user's file that exports `kit`, whose rows are added to the built-in ones.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Option } from 'commander';
import { FedStreamError } from '../core/errors.js';
import { builtInKit, type Kit, kitWith } from '../kit/kit.js';
import { importModule } from './import-module.js';

/** The value of `--kit`. */
export interface KitOptions {
  readonly kit?: string;
}

/** `--kit`. A kit is code, so it is read only from this machine, never from a peer. */
export function kitOption(): Option {
  return new Option(
    '--kit <file>',
    'codecs, filters, aggregators, workflows or trainers of your own: a file that exports `kit` (docs/guide)',
  );
}

/** The same option again, for the command that goes on with a run. */
export function kitAgain({ kit }: KitOptions): string {
  return kit === undefined ? '' : ` --kit ${kit}`;
}

/** Tables that are lists of rows; `codecs` alone is an object of rows by name. */
const TABLES: readonly (keyof Kit)[] = ['filters', 'aggregators', 'workflows', 'trainers', 'sinks'];

/**
 * The built-in tables with the rows of a kit file; without a file, the built-in tables alone.
 * Throws `not-found` for a missing file and `bad-argument`, which names the fault, for a malformed
 * kit.
 */
export async function loadKit(path: string | undefined): Promise<Kit> {
  if (path === undefined) return builtInKit;
  const file = resolve(path);
  if (!existsSync(file)) throw new FedStreamError('not-found', `there is no kit file ${path}`);
  const loaded = await importModule(file, 'bad-argument');
  const { kit } = loaded;
  if (kit === null || typeof kit !== 'object')
    throw new FedStreamError('bad-argument', `${path}: export the kit: \`export const kit = { workflows: [ … ] }\``);
  checkTables(kit as Record<string, unknown>, path);
  return kitWith(kit as Partial<Kit>);
}

function checkTables(kit: Record<string, unknown>, path: string): void {
  for (const [name, table] of Object.entries(kit)) {
    if (name === 'codecs') {
      if (table === null || typeof table !== 'object') throw wrong(path, 'codecs is an object of codec rows by name');
      continue;
    }
    if (!(TABLES as readonly string[]).includes(name))
      throw wrong(path, `there is no table ${name}; a kit has codecs, ${TABLES.join(', ')}`);
    if (!Array.isArray(table) || !table.every(isRow)) throw wrong(path, `${name} is a list of rows, each made by row(name, options, make)`);
  }
}

function isRow(value: unknown): boolean {
  const { name, options, make } = (value ?? {}) as Record<string, unknown>;
  return (
    typeof name === 'string' && typeof make === 'function' && options !== null && typeof options === 'object' && 'safeParse' in options
  );
}

function wrong(path: string, what: string): FedStreamError {
  return new FedStreamError('bad-argument', `${path}: ${what}`);
}
