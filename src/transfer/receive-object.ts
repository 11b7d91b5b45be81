// Receives an object into a file: verified leaf by leaf, stored whole, then confirmed.
import { asFedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { IncomingStream, Resume } from '../stream/incoming-stream.js';
import { receivedFigures, type TransferFigures } from './figures.js';
import { checkObjectSize, Part } from './part.js';

/** The file of an object, and the conditions on it. */
export interface ReceiveObjectOptions {
  readonly folder: Folder;
  readonly name: string;
  /** A larger object is refused (`limit`) before it fills the folder. */
  readonly maxBytes?: number;
  /**
   * If true, the file survives a crash of the machine before it is confirmed, not only one of this
   * process. True by default.
   */
  readonly durable?: boolean;
  onProgress?(receivedBytes: number): void;
}

/** A received object: what `open` returned, and the figures. */
export interface ReceivedObject<T> {
  readonly value: T;
  readonly figures: TransferFigures;
}

/** Errors after which a part is useless, and another attempt from its end is pointless. */
const SPOILT: ReadonlySet<string> = new Set(['digest', 'bad-manifest', 'limit']);

/**
 * Reads the stream to its end. `open` checks the whole file and throws if it does not pass; the
 * value that it returns is closed if the sender could not be told. The stream is confirmed or
 * refused in every case. An object that did not arrive whole stays as a part, to be resumed.
 */
export async function receiveObject<T extends { close?(): void | Promise<void> }>(
  stream: IncomingStream,
  options: ReceiveObjectOptions,
  open: () => Promise<T>,
): Promise<ReceivedObject<T>> {
  const { folder, name } = options;
  const part = new Part(folder, name);
  const startedMs = performance.now();
  try {
    checkObjectSize(stream.totalBytes ?? 0, options.maxBytes);
    const resume = await part.resume(stream);
    const resumedBytes = resume?.offset ?? 0;
    const objectBytes = await writePart(stream, part, options, resume);
    await part.finish();
    const value = await opened(options, open);
    try {
      await stream.confirm();
    } catch (error) {
      // The sender will offer the same object again, and need not send any of it.
      await value.close?.();
      throw error;
    }
    await part.settle();
    return { value, figures: receivedFigures(stream, objectBytes, resumedBytes, startedMs) };
  } catch (error) {
    const failure = asFedStreamError(error);
    if (SPOILT.has(failure.code)) await part.remove();
    await stream.reject(failure);
    throw failure;
  }
}

/** Opens the file, and removes one that does not pass, since nobody can use it. */
async function opened<T>({ folder, name }: ReceiveObjectOptions, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    await folder.remove(name);
    await new Part(folder, name).remove();
    throw error;
  }
}

async function writePart(stream: IncomingStream, part: Part, options: ReceiveObjectOptions, resume: Resume | undefined): Promise<number> {
  const writer = await part.write(stream.objectId, resume);
  try {
    for await (const bytes of stream.read({ resume })) {
      checkObjectSize(writer.position + bytes.length, options.maxBytes);
      await writer.append(bytes, stream.sums);
      options.onProgress?.(writer.position);
    }
    if (options.durable !== false) await writer.sync();
    return writer.position;
  } finally {
    await writer.close();
  }
}
