// A model that is taken while it arrives: its chunks are given out as their leaves are verified.
import type { CodecTable } from '../codec/codec.js';
import { hasVaryingCodes, layoutOf } from '../codec/layout.js';
import { asFedStreamError, type FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { ObjectHead } from './object-head.js';
import { chunksAt } from './spool.js';
import { Written } from './written.js';

/**
 * Takes a model that arrives. Every leaf of its chunks was verified; the object as a whole is known to
 * be the announced one when they end, and not before: what is made of them counts only then. They
 * throw where the transfer fails.
 */
export type TakeModel = (model: StateDict) => Promise<void>;

/** Runs `take` beside the transfer: it begins with the head, and ends with the object. */
export class ArrivingModel {
  readonly #codecs: CodecTable;
  readonly #take: TakeModel;
  readonly #written = new Written();
  #taking: Promise<void> | undefined;
  #error: FedStreamError | undefined;
  #most = 0;

  constructor(codecs: CodecTable, take: TakeModel) {
    this.#codecs = codecs;
    this.#take = take;
  }

  /**
   * The first `bytes` bytes of the object are verified and in the file. Throws what `take` has
   * thrown, so that the transfer ends. Codes that vary in size are taken at the end.
   */
  arrived(folder: Folder, file: string, head: ObjectHead, bytes: number): void {
    if (!this.#taking && !hasVaryingCodes(head.manifest, this.#codecs)) this.#begin(folder, file, head);
    if (this.#error) throw this.#error;
    // The last byte is held back until the whole object is verified.
    this.#written.reached(Math.min(bytes, this.#most - 1));
  }

  /** The object is whole and verified, and `model` reads it: resolves once it is taken. */
  async end(model: StateDict): Promise<void> {
    if (!this.#taking) return this.#take(unclosed(model));
    this.#written.reached(this.#most);
    await this.#taking;
    if (this.#error) throw this.#error;
  }

  /** The transfer has failed: resolves once `take` has let go of the model. */
  async fail(error: FedStreamError): Promise<void> {
    this.#written.failed(error);
    await this.#taking;
  }

  #begin(folder: Folder, file: string, head: ObjectHead): void {
    const layout = layoutOf(head.manifest, this.#codecs);
    this.#most = head.bytes + layout.totalBytes;
    const written = this.#written;
    const most = this.#most;
    const model: StateDict = {
      manifest: layout.manifest,
      async *chunks(range) {
        const open = await folder.open(file);
        try {
          yield* chunksAt(written.reading(open), layout, head.bytes, range);
          await written.until(most);
        } finally {
          await open.close();
        }
      },
    };
    this.#taking = this.#take(model).catch((error: unknown) => {
      this.#error = asFedStreamError(error);
    });
  }
}

/** The transfer closes the model itself. */
function unclosed({ manifest, chunks }: StateDict): StateDict {
  return { manifest, chunks };
}
