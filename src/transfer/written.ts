// How far a file has been written, for those who read it meanwhile.
import type { FedStreamError } from '../core/errors.js';
import type { ReadableFile } from '../core/storage.js';
import type { ReadAt } from '../stream/leaf-pieces.js';

interface Waiting {
  readonly end: number;
  resolve(): void;
  reject(error: FedStreamError): void;
}

/** The writer says how far it has come, or why it ends; readers wait for the bytes that they want. */
export class Written {
  #bytes = 0;
  #error: FedStreamError | undefined;
  #waiting: Waiting[] = [];

  /** The first `bytes` bytes can be read from now on. */
  reached(bytes: number): void {
    this.#bytes = Math.max(this.#bytes, bytes);
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ end }) => end > this.#bytes);
    for (const { end, resolve } of waiting) if (end <= this.#bytes) resolve();
  }

  /** No more bytes will come; those that are there can still be read. */
  failed(error: FedStreamError): void {
    this.#error ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /** Resolves once the first `end` bytes can be read; rejects with the writer's error. */
  async until(end: number): Promise<void> {
    if (end <= this.#bytes) return;
    if (this.#error) throw this.#error;
    await new Promise<void>((resolve, reject) => this.#waiting.push({ end, resolve, reject }));
  }

  /** Reads the file as `file` does, but waits for bytes that are not there yet. */
  reading(file: ReadableFile): ReadAt {
    return async (into, position) => {
      await this.until(position + into.length);
      await file.read(into, position);
    };
  }
}
