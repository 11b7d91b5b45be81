// Appends lines to a file without making the caller wait for the disk.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Folder, WritableFile } from '../core/storage.js';

/**
 * Bound on waiting text: minutes of the busiest run. A disk that has accepted nothing for that long
 * has failed.
 */
const MOST_WAITING_CHARACTERS = 32 * 1024 * 1024;

/** Opens the file to append lines to those that are there. */
export async function appendLines(folder: Folder, name: string): Promise<LineAppender> {
  const file = await folder.create(name, { keep: true });
  return new LineAppender(file, { endBytes: (await folder.sizeBytes(name)) ?? 0, label: `${folder.label}/${name}` });
}

/**
 * Takes lines without waiting and writes them in order. A failure is reported by `failure`, and by
 * the next `flush` or `close`.
 */
export class LineAppender {
  readonly #file: WritableFile;
  readonly #label: string;
  #endBytes: number;
  #waiting: string[] = [];
  #waitingCharacters = 0;
  #writing: Promise<void> | undefined;
  #failure: FedStreamError | undefined;
  #closed = false;

  constructor(file: WritableFile, { endBytes, label }: { endBytes: number; label: string }) {
    this.#file = file;
    this.#endBytes = endBytes;
    this.#label = label;
  }

  /** The error that keeps lines from the file; undefined while there is none. */
  get failure(): FedStreamError | undefined {
    return this.#failure;
  }

  /**
   * Takes a line without its newline. After a failure or `close`, lines are dropped; the failure
   * remains.
   */
  add(line: string): void {
    if (this.#failure || this.#closed) return;
    this.#waiting.push(line);
    this.#waitingCharacters += line.length;
    if (this.#waitingCharacters > MOST_WAITING_CHARACTERS) this.#giveUp();
    else this.#writing ??= this.#write();
  }

  /**
   * Resolves once the operating system has every line so far; rejects with `io` where it did not
   * accept one.
   */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  /** Resolves once every line would survive a crash of the machine. */
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

  /** Drops waiting lines and fails, so that memory stays bounded when the disk accepts none. */
  #giveUp(): void {
    this.#waiting = [];
    const message = `${this.#label}: ${MOST_WAITING_CHARACTERS} characters wait to be written, and the disk does not accept them; check the disk`;
    this.#failure = new FedStreamError('io', message);
  }

  /** Never rejects. Lines that come while it waits go with the next write. */
  async #write(): Promise<void> {
    try {
      // Lines that the caller adds in the same turn are written together.
      await undefined;
      while (this.#waiting.length > 0) {
        const bytes = new TextEncoder().encode(`${this.#waiting.join('\n')}\n`);
        this.#waiting = [];
        this.#waitingCharacters = 0;
        await this.#file.write(bytes, this.#endBytes);
        this.#endBytes += bytes.length;
      }
    } catch (cause) {
      this.#failure ??= asFedStreamError(cause, 'io');
    } finally {
      this.#writing = undefined;
    }
  }
}
