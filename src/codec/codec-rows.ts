// Tables of codecs, made of rows and looked up by the name in an encoding.
import { FedStreamError } from '../core/errors.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import type { CodecRow, CodecTable, CodecTraits } from './codec.js';
import { checkedEncoding } from './codec-parameters.js';

const ROW_NAME = /^[a-z][a-z0-9]{0,31}$/i;
const PARAMETER_NAME = /^[a-z][A-Za-z0-9]{0,31}$/;
/** Names that mean something else in a job or an encoding. */
const RESERVED: ReadonlySet<string> = new Set(['raw', 'fp32', 'base', 'lean', 'paper']);

/** A table of rows; `bad-argument` if a name or a parameter is not allowed. */
export function codecTable(...rows: readonly CodecRow[]): CodecTable {
  const table: Record<string, CodecRow> = {};
  for (const row of rows) {
    if (!ROW_NAME.test(row.name) || RESERVED.has(row.name) || Object.hasOwn(table, row.name))
      throw new FedStreamError(
        'bad-argument',
        `a codec cannot be named ${JSON.stringify(row.name)}: letters and digits, and no name twice`,
      );
    for (const { name, default: standard, smallest, largest } of row.parameters)
      if (!PARAMETER_NAME.test(name) || !(smallest <= standard && standard <= largest))
        throw new FedStreamError('bad-argument', `the parameter ${JSON.stringify(name)} of codec ${row.name} has no default in its range`);
    table[row.name] = row;
  }
  return table;
}

/** The row of a codec's name; `unsupported`, with the names that exist, if the table has none. */
export function rowOf(codecs: CodecTable, name: string): CodecRow {
  const own = Object.hasOwn(codecs, name) ? codecs[name] : undefined;
  const row = own?.name === name ? own : Object.values(codecs).find((other) => other.name === name);
  if (row) return row;
  const names = Object.values(codecs).map((other) => other.name);
  throw new FedStreamError('unsupported', `there is no codec ${JSON.stringify(name)} here; the codecs are ${names.join(', ')}`);
}

/** Traits of one encoding. */
export type EncodingTraits = CodecTraits & { readonly bits: number };

const RAW_TRAITS: EncodingTraits = { bits: 32, feedback: false, vectors: true, groupBytes: 1, mapValues: 0 };

/** The traits of an encoding; `unsupported` if the table has no such codec. */
export function codecTraits(codecs: CodecTable, encoding: Encoding): EncodingTraits {
  if (encoding.codec === RAW.codec) return RAW_TRAITS;
  const row = rowOf(codecs, encoding.codec);
  const { bits } = row.traits;
  return { ...row.traits, bits: typeof bits === 'number' ? bits : bits(checkedEncoding(row, encoding)) };
}

/** True if decoded values can differ from those that were coded. */
export function losesValues(codecs: CodecTable, { codec }: Encoding): boolean {
  return codec !== RAW.codec && rowOf(codecs, codec).lossy;
}
