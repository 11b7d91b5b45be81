// A spool that is sent while it is still being written.
import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { leafPieces } from '../stream/leaf-pieces.js';
import { LeafSums } from '../stream/leaf-sums.js';
import type { ByteSource } from '../stream/source.js';
import type { StateDict } from '../tensor/state-dict.js';
import { objectBytes } from './object.js';
import { partOfSpool, type SpoolInfo, writeSpool } from './spool.js';
import { Written } from './written.js';

/** A spool in the making, and its bytes as a source for any number of streams. */
export interface SpoolAhead {
  readonly source: ByteSource;
  /** Resolves once the spool stands whole under its name; rejects if it cannot be written. */
  readonly whole: Promise<SpoolInfo>;
  /** Stops the writing, if it has not ended, and removes the file. */
  release(): Promise<void>;
}

/**
 * Begins to code a model into a spool. Streams of its source wait for bytes that are not there yet,
 * and fail with the error of the coding, if it has one. The model is coded at its own pace, whatever
 * they take. `id` promises the same bytes where the model is coded once more.
 *
 * Codes that vary in size have no size before they are coded: `internal`.
 */
export function spoolAhead(model: StateDict, codecs: CodecTable, folder: Folder, name: string, id: string): SpoolAhead {
  const totalBytes = objectBytes(model.manifest, codecs);
  const written = new Written();
  const sums = new LeafSums();
  const stop = new AbortController();
  let digest: string | undefined;
  const following = {
    sums,
    reached(bytes: number): void {
      stop.signal.throwIfAborted();
      written.reached(bytes);
    },
  };
  const whole = writeSpool(model, codecs, folder, name, { durable: false, following }).then(
    (info) => {
      digest = info.digest;
      return info;
    },
    (error: unknown) => {
      const failure = asFedStreamError(error);
      written.failed(failure);
      throw failure;
    },
  );
  whole.catch(() => {}); // whoever reads hears of it
  const source: ByteSource = {
    id,
    totalBytes,
    sums,
    holds: true,
    get digest() {
      return digest;
    },
    read: (offset, kept) => followed(folder, name, written, totalBytes, offset, kept),
  };
  const release = async (): Promise<void> => {
    stop.abort(new FedStreamError('aborted', `${name} is not wanted any more`));
    await whole.catch(() => {});
    await folder.remove(name);
  };
  return { source, whole, release };
}

/** A reader opens the file under the name that it has by then, and keeps it while it is renamed. */
async function* followed(folder: Folder, name: string, written: Written, end: number, offset: number, kept?: number) {
  await written.until(Math.min(offset + 1, end)); // the file is there then
  const open = await folder.open(partOfSpool(name)).catch((error: FedStreamError) => {
    if (error.code !== 'not-found') throw error;
    return folder.open(name);
  });
  try {
    yield* leafPieces(written.reading(open), end, offset, kept);
  } finally {
    await open.close();
  }
}
