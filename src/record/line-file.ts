// Lines of a file in a folder: read one by one in bounded memory, and filtered.
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { appendLines } from './line-appender.js';

const READ_BYTES = 64 * 1024;

/**
 * Bound on a line, far above any that is written; it keeps a file without newlines from being read
 * into memory whole.
 */
const LINE_LIMIT_BYTES = 1024 * 1024;

/**
 * Lines are written in batches of this many characters, since a system call for each line would
 * dominate the time.
 */
const BATCH_CHARACTERS = 64 * 1024;

/**
 * The lines of a file, without an unfinished last line that a crash cut short; none where there is
 * no such file. Throws `io` where a line is too long.
 */
export async function* readLines(folder: Folder, name: string): AsyncGenerator<string> {
  const size = await folder.sizeBytes(name);
  if (size === undefined) return;
  const file = await folder.open(name);
  try {
    const decoder = new TextDecoder();
    let rest = '';
    for (let position = 0; position < size; position += READ_BYTES) {
      const bytes = new Uint8Array(Math.min(READ_BYTES, size - position));
      await file.read(bytes, position);
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
      rest = lines.pop() as string;
      yield* lines;
      if (rest.length > LINE_LIMIT_BYTES) {
        throw new FedStreamError(
          'limit',
          `${folder.label}/${name} has a line of more than ${LINE_LIMIT_BYTES} bytes: the file was damaged`,
        );
      }
    }
  } finally {
    await file.close();
  }
}

/**
 * Removes the lines that `keep` does not want, and an unfinished one; a crash meanwhile leaves the
 * file as it was.
 */
export async function filterLines(folder: Folder, name: string, keep: (line: string) => boolean): Promise<void> {
  if ((await folder.sizeBytes(name)) === undefined) return;
  const beside = `${name}.part`;
  await folder.remove(beside);
  const kept = await appendLines(folder, beside);
  let batched = 0;
  try {
    for await (const line of readLines(folder, name)) {
      if (!keep(line)) continue;
      kept.add(line);
      batched += line.length;
      if (batched < BATCH_CHARACTERS) continue;
      await kept.flush();
      batched = 0;
    }
  } finally {
    await kept.close();
  }
  await folder.rename(beside, name);
}
