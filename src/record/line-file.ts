// Lines of a file in a folder: read one by one in bounded memory, and appended behind what is there.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Folder, WritableFile } from '../core/storage.js';

const READ_BYTES = 64 * 1024;

/** No line of ours comes near it; a file without newlines is not read into memory whole. */
const LINE_LIMIT_BYTES = 1024 * 1024;

/** A call to the system a line would be most of the work. */
const BATCH_LINES = 512;

/** The lines of a file, without a last one that has no newline (a crash cut it short); none where there is no such file. */
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

/** Leaves only the lines that `keep` wants, and none that was cut short; a crash on the way leaves the file as it was. */
export async function filterLines(folder: Folder, name: string, keep: (line: string) => boolean): Promise<void> {
  if ((await folder.sizeBytes(name)) === undefined) return;
  const beside = `${name}.part`;
  await folder.remove(beside);
  const kept = await appendLines(folder, beside);
  let batch: string[] = [];
  const write = async (): Promise<void> => {
    if (batch.length > 0) kept.add(batch.join('\n'));
    batch = [];
    await kept.flush();
  };
  try {
    for await (const line of readLines(folder, name)) {
      if (keep(line)) batch.push(line);
      if (batch.length >= BATCH_LINES) await write();
    }
    await write();
  } finally {
    await kept.close();
  }
  await folder.rename(beside, name);
}

/** Opens the file to write lines behind those that are there. */
export async function appendLines(folder: Folder, name: string): Promise<LineAppender> {
  return new LineAppender(await folder.create(name, { keep: true }), (await folder.sizeBytes(name)) ?? 0);
}

/** Takes lines without waiting, and writes them in order; a failure is told by the next `flush` or `close`. */
export class LineAppender {
  readonly #file: WritableFile;
  #endBytes: number;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #failure: FedStreamError | undefined;
  #closed = false;

  constructor(file: WritableFile, endBytes: number) {
    this.#file = file;
    this.#endBytes = endBytes;
  }

  /** A line without its newline. After a failure, or the end, lines are dropped: the failure stands. */
  add(line: string): void {
    if (this.#failure || this.#closed) return;
    this.#waiting.push(line);
    this.#writing ??= this.#write();
  }

  /** Resolves once the system has every line so far; rejects with `io` where it did not take one. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  /** Resolves once every line survives a crash of the machine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.flush();
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
  }

  /** Never rejects; lines that come while it waits go with the next write. */
  async #write(): Promise<void> {
    try {
      // Lets whoever adds several lines in one go have them written together.
      await undefined;
      while (this.#waiting.length > 0) {
        const bytes = new TextEncoder().encode(`${this.#waiting.join('\n')}\n`);
        this.#waiting = [];
        await this.#file.write(bytes, this.#endBytes);
        this.#endBytes += bytes.length;
      }
    } catch (cause) {
      this.#failure = asFedStreamError(cause, 'io');
    } finally {
      this.#writing = undefined;
    }
  }
}
