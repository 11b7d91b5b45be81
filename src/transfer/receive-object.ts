// Receives an object into a file: verified leaf by leaf, whole before anybody uses it, safe before it is confirmed.
import { asFedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { IncomingStream, Resume } from '../stream/incoming-stream.js';
import { receivedFigures, type TransferFigures } from './figures.js';
import { checkObjectSize, Part } from './part.js';

export interface ReceiveObjectOptions {
  readonly folder: Folder;
  readonly name: string;
  /** A larger object is refused (`limit`) before it fills the folder. */
  readonly maxBytes?: number;
  /** Whether the file survives a crash of the machine before it is confirmed, and not only one of this process. True by default. */
  readonly durable?: boolean;
  onProgress?(receivedBytes: number): void;
}

export interface ReceivedObject<T> {
  readonly value: T;
  readonly figures: TransferFigures;
}

/** What makes a part useless, and a next try from its end pointless. */
const SPOILT: ReadonlySet<string> = new Set(['digest', 'bad-manifest', 'limit']);

/**
 * Reads the stream to its end. `open` looks at the whole file and throws where it does not pass; what it returns is closed where the sender could
 * not be told. The stream is confirmed or refused in every case; what did not come whole stays as a part, to go on from.
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
      // The sender will come again with the same object: nothing of it has to be sent.
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

/** A file that does not pass is removed: nobody can use it. */
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
