// Outputs for lines of events: files, and standard output.
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { FedStreamError } from '../../core/errors.js';
import type { LineOutput } from '../../record/sinks/line-sink.js';
import { ioError } from '../storage/io-error.js';
import { PRIVATE_FILE } from '../storage/private-modes.js';

/**
 * Appends to a regular file, which is made if it is missing. Rejects with `io` if it cannot be
 * written, and with `bad-argument` for a pipe or a device.
 */
export async function fileOutput(path: string): Promise<LineOutput> {
  try {
    const found = await stat(path).catch(() => undefined);
    // A write to a pipe that nobody reads would block one of Node's threads, and with it the end of
    // the process.
    if (found && !found.isFile())
      throw new FedStreamError('bad-argument', `${path} is no regular file; name one, or - for standard output`);
    const file = await open(path, 'a+', PRIVATE_FILE);
    const cut = await lacksNewline(file);
    return new FileOutput(path, file, cut);
  } catch (cause) {
    throw ioError(cause, 'write events to', path);
  }
}

/**
 * True if the file ends in half a line: a crash can leave one, and the next line must not continue
 * it.
 */
async function lacksNewline(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return false;
  const { buffer } = await file.read(new Uint8Array(1), 0, 1, size - 1);
  return buffer[0] !== '\n'.charCodeAt(0);
}

class FileOutput implements LineOutput {
  readonly #path: string;
  readonly #file: FileHandle;
  #cut: boolean;

  constructor(path: string, file: FileHandle, cut: boolean) {
    this.#path = path;
    this.#file = file;
    this.#cut = cut;
  }

  async write(text: string): Promise<void> {
    try {
      await this.#file.appendFile(this.#cut ? `\n${text}` : text);
      this.#cut = false;
    } catch (cause) {
      throw ioError(cause, 'write events to', this.#path);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Writes to a stream that others use too, such as standard output; it is never ended. */
export function streamOutput(stream: Writable, label: string): LineOutput {
  const write = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      stream.write(text, (error) => (error ? reject(ioError(error, 'write events to', label)) : resolve()));
    });
  return { write, close: async () => {} };
}
