// Instruction data on disk: read line by line, written as JSON Lines.
import { createReadStream, type Stats, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { FedStreamError } from '../../core/errors.js';
import { parseData } from '../../trainer/data/parse-data.js';
import type { Sample } from '../../trainer/data/sample.js';
import { ioError } from '../storage/io-error.js';
import { makePrivateFolder, PRIVATE_FILE } from '../storage/private-modes.js';

/** The longest line of a JSONL file, or a whole array on one line: a string can hold it. */
const MAX_LINE_BYTES = 256 * 1024 * 1024;

/**
 * Reads a file of samples. Rejects with `not-found`, or with `bad-data` that names the file and the
 * line.
 */
export async function readDataFile(path: string): Promise<Sample[]> {
  checkFile(path);
  return parseData(readLines(path), path);
}

/** Writes samples as lines of `prompt` and `completion`; throws `io`. */
export function writeDataFile(path: string, samples: readonly Sample[]): void {
  try {
    makePrivateFolder(dirname(path));
    writeFileSync(
      path,
      samples.map(({ prompt, answer, category }) => `${JSON.stringify({ prompt, completion: answer, category })}\n`).join(''),
      { mode: PRIVATE_FILE },
    );
  } catch (cause) {
    throw ioError(cause, 'write', path);
  }
}

function checkFile(path: string): void {
  let found: Stats | undefined;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw ioError(cause, 'read', path);
  }
  if (!found) throw new FedStreamError('not-found', `there is no data file ${path}; check --data or the job's data field`);
  if (!found.isFile()) throw new FedStreamError('bad-data', `${path} is not a file; give a JSON or JSONL file`);
}

const LINE_FEED = 0x0a;

/**
 * Yields lines without their ends. They are cut as bytes, so that an error can name a line that is
 * not UTF-8, and so that a long line is joined only once.
 */
async function* readLines(path: string): AsyncGenerator<string> {
  let pieces: Uint8Array[] = [];
  let lengthBytes = 0;
  let number = 1;
  const take = (piece: Uint8Array): void => {
    lengthBytes += piece.length;
    if (lengthBytes > MAX_LINE_BYTES) throw new FedStreamError('limit', `${path} line ${number} is longer than ${MAX_LINE_BYTES} bytes`);
    pieces.push(piece);
  };
  const line = (): string => {
    const text = decodeLine(Buffer.concat(pieces), `${path} line ${number++}`);
    pieces = [];
    lengthBytes = 0;
    return text;
  };
  try {
    for await (const bytes of createReadStream(path) as AsyncIterable<Uint8Array>) {
      let from = 0;
      for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, from)) {
        take(bytes.subarray(from, end));
        from = end + 1;
        yield line();
      }
      take(bytes.subarray(from));
    }
  } catch (cause) {
    if (cause instanceof FedStreamError) throw cause;
    throw ioError(cause, 'read', path);
  }
  if (lengthBytes > 0) yield line();
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeLine(bytes: Uint8Array, where: string): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw new FedStreamError('bad-data', `${where} is not UTF-8 text`, { cause });
  }
}
