// Instruction data on disk: read row by row whatever the format, written as JSON Lines.
import { type Stats, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import { parseData, parseRows, type ReadOptions } from '../../trainer/data/parse-data.js';
import { type Row, readRows } from '../../trainer/data/rows.js';
import type { Sample } from '../../trainer/data/sample.js';
import { ioError } from '../storage/io-error.js';
import { makePrivateFolder, PRIVATE_FILE } from '../storage/private-modes.js';
import { arrowRows } from './arrow-rows.js';
import { fromUtf16, linesOf } from './data-lines.js';
import { type Content, openContent } from './data-text.js';
import { refuseNotData } from './not-data.js';
import { parquetRows } from './parquet-rows.js';
import { savedDataset } from './saved-dataset.js';

/**
 * Reads a file of samples. Rejects with `not-found`, or with `bad-data` that names the file and the
 * line, and what to do about it.
 */
export async function readDataFile(path: string, options: ReadOptions = {}): Promise<Sample[]> {
  const opened = await openData(path);
  return 'rows' in opened ? parseRows(opened.rows, path, options) : parseData(opened.lines, path, options);
}

/**
 * The rows of a file as JSON texts, of any shape; undefined for a file that has no rows that are
 * known here. Rejects with `not-found`.
 */
export async function readDataRows(path: string): Promise<string[] | undefined> {
  const texts: string[] = [];
  try {
    const opened = await openData(path);
    for await (const row of 'rows' in opened ? opened.rows : readRows(opened.lines, path, () => 'sample')) texts.push(textOf(row));
    return texts.length > 0 ? texts : undefined;
  } catch (error) {
    if (error instanceof FedStreamError && (error.code === 'bad-data' || error.code === 'unsupported')) return undefined;
    throw error;
  }
}

/** Writes samples as lines of `prompt` and `completion`, `messages`, or `text`; throws `io`. */
export function writeDataFile(path: string, samples: readonly Sample[]): void {
  writeDataRows(path, samples.map(sampleText));
}

/** Writes rows, each JSON on one line; throws `io`. */
export function writeDataRows(path: string, rows: readonly string[]): void {
  try {
    makePrivateFolder(dirname(path));
    writeFileSync(path, rows.map((row) => `${row}\n`).join(''), { mode: PRIVATE_FILE });
  } catch (cause) {
    throw ioError(cause, 'write', path);
  }
}

function sampleText({ prompt, answer, category, messages, tools }: Sample): string {
  if (messages) return JSON.stringify({ messages, tools, category });
  return JSON.stringify(prompt === '' ? { text: answer, category } : { prompt, completion: answer, category });
}

/** A row's text on one line: a line feed in JSON is only ever between its tokens. */
function textOf({ text, value, fault, where }: Row): string {
  if (fault !== undefined) throw new FedStreamError('bad-data', `${where}: ${fault}`);
  return text === undefined ? JSON.stringify(value) : text.replace(/[\r\n]+/g, ' ').trim();
}

async function openData(path: string): Promise<{ rows: AsyncIterable<Row> } | { lines: AsyncIterable<string> }> {
  const saved = savedFiles(path);
  if (saved) return { rows: rowsOfAll(saved) };
  const { size } = checkFile(path);
  const content = await openContent(path, size);
  refuseNotData({ name: content.kind, looksLike: content.looksLike }, path);
  if (content.kind === 'parquet') return { rows: parquetRows(checkUnpacked(content, path)) };
  if (content.kind === 'arrow') return { rows: arrowRows(checkUnpacked(content, path)) };
  const { kind, bytes } = content;
  return { lines: linesOf(kind === 'utf-16le' || kind === 'utf-16be' ? fromUtf16(bytes, kind, path) : bytes, path) };
}

function savedFiles(path: string): string[] | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? savedDataset(path) : undefined;
  } catch (cause) {
    throw ioError(cause, 'read', path);
  }
}

async function* rowsOfAll(paths: readonly string[]): AsyncGenerator<Row> {
  for (const path of paths) yield* arrowRows(path);
}

/** Parquet is read from its end; it has a compression of its own. */
function checkUnpacked({ packed, looksLike }: Content, path: string): string {
  if (packed) throw new FedStreamError('bad-data', `${path} is ${looksLike}; unpack it first: gzip or zstd -d --keep "${path}"`);
  return path;
}

function checkFile(path: string): Stats {
  let found: Stats | undefined;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw ioError(cause, 'read', path);
  }
  if (!found) throw new FedStreamError('not-found', `there is no data file ${path}; check --data or the job's data field`);
  if (!found.isFile())
    throw new FedStreamError(
      'bad-data',
      `${path} is not a file, nor a folder that datasets saved; give a file of data (JSON, JSON lines, CSV, Parquet)`,
    );
  return found;
}
