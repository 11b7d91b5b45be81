// Instruction data on disk: read line by line, written as JSON lines.
import { createReadStream, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { FedStreamError } from '../core/errors.js';
import { parseData } from '../trainer/data/parse-data.js';
import type { Sample } from '../trainer/data/sample.js';
import { ioError } from './io-error.js';

/** A line of a JSONL file, or a whole array on one line. */
const MAX_LINE_CHARACTERS = 256 * 1024 * 1024;

/** Reads a file of samples; `not-found`, or `bad-data` that names file and line. */
export async function readDataFile(path: string): Promise<Sample[]> {
  checkFile(path);
  return parseData(readLines(path), path);
}

/** Writes samples as prompt/completion lines. */
export function writeDataFile(path: string, samples: readonly Sample[]): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(
      path,
      samples.map(({ prompt, answer, category }) => `${JSON.stringify({ prompt, completion: answer, category })}\n`).join(''),
    );
  } catch (cause) {
    throw ioError(cause, 'write', path);
  }
}

function checkFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw new FedStreamError('not-found', `there is no data file ${path}; check --data or the job's data field`);
  if (!found.isFile()) throw new FedStreamError('bad-data', `${path} is not a file`);
}

async function* readLines(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  let line = 1;
  try {
    for await (const bytes of createReadStream(path)) {
      const lines = (rest + decoder.decode(bytes as Uint8Array, { stream: true })).split('\n');
      rest = lines.pop() as string;
      if (rest.length > MAX_LINE_CHARACTERS)
        throw new FedStreamError('limit', `${path} line ${line + lines.length} is longer than ${MAX_LINE_CHARACTERS} characters`);
      line += lines.length;
      yield* lines;
    }
    rest += decoder.decode();
  } catch (cause) {
    if (cause instanceof FedStreamError) throw cause;
    if (cause instanceof TypeError) throw new FedStreamError('bad-data', `${path} line ${line} is not UTF-8 text`, { cause });
    throw ioError(cause, 'read', path);
  }
  if (rest !== '') yield rest;
}
