// Outputs for lines of events on Node: a file that is appended to, and standard output.
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { FedStreamError } from '../../core/errors.js';
import type { LineOutput } from '../../record/sinks/line-sink.js';
import { ioError } from '../storage/io-error.js';

/**
 * Appends to a regular file, which is made where there is none; `io` where it cannot be written,
 * `bad-argument` for a pipe or a device.
 */
export async function fileOutput(path: string): Promise<LineOutput> {
  try {
    const found = await stat(path).catch(() => undefined);
    // A write to a pipe that nobody reads holds a thread of Node's, and with it the end of the
    // process.
    if (found && !found.isFile())
      throw new FedStreamError('bad-argument', `${path} is no regular file; name one, or - for standard output`);
    const file = await open(path, 'a+');
    const cut = await lacksNewline(file);
    return new FileOutput(path, file, cut);
  } catch (cause) {
    throw ioError(cause, 'write events to', path);
  }
}

/** A crash can leave half a line, to which the next one must not be added. */
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

/** Writes to a stream that others go on using, such as standard output; it is not ended. */
export function streamOutput(stream: Writable, label: string): LineOutput {
  const write = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      stream.write(text, (error) => (error ? reject(ioError(error, 'write events to', label)) : resolve()));
    });
  return { write, close: async () => {} };
}
