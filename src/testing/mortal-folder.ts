// A folder of a process that may be cut off: from then on nothing reaches it, as after `kill -9`.
import { FedStreamError } from '../core/errors.js';
import type { Folder, ReadableFile, WritableFile } from '../core/storage.js';

/** A process, or several that are cut off together. Each change of a file is a step. */
export class Life {
  /** Aborted at the same instant. */
  readonly stop = new AbortController();
  steps = 0;
  readonly #last: number;

  /** `steps` are done; the next one is not, and nothing after it. */
  constructor(steps = Number.POSITIVE_INFINITY) {
    this.#last = steps;
  }

  step(): void {
    this.check();
    if (this.steps >= this.#last) this.end();
    this.check();
    this.steps++;
  }

  end(): void {
    if (!this.isOver) this.stop.abort(new FedStreamError('aborted', 'the process was cut off'));
  }

  get isOver(): boolean {
    return this.stop.signal.aborted;
  }

  check(): void {
    this.stop.signal.throwIfAborted();
  }
}

/** The folder as one life sees it; its files stay for the next. */
export function mortalFolder(folder: Folder, life: Life): Folder {
  return {
    label: folder.label,
    async open(name) {
      life.check();
      return readable(await folder.open(name), life);
    },
    async create(name, options) {
      life.step();
      return writable(await folder.create(name, options), life);
    },
    async rename(from, to, options) {
      life.step();
      await folder.rename(from, to, options);
    },
    async remove(name) {
      life.step();
      await folder.remove(name);
    },
    async sizeBytes(name) {
      life.check();
      return folder.sizeBytes(name);
    },
    async list(name) {
      life.check();
      return folder.list(name);
    },
    folder: (name) => mortalFolder(folder.folder(name), life),
    space: async () => folder.space?.(),
  };
}

function readable(file: ReadableFile, life: Life): ReadableFile {
  return {
    sizeBytes: file.sizeBytes,
    async read(into, position) {
      life.check();
      await file.read(into, position);
    },
    close: () => file.close(),
  };
}

function writable(file: WritableFile, life: Life): WritableFile {
  return {
    async write(bytes, position) {
      life.step();
      await file.write(bytes, position);
    },
    async sync() {
      life.step();
      await file.sync();
    },
    close: () => file.close(),
  };
}
