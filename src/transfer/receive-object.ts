// Receives an object into a file: verified leaf by leaf, stored whole, then confirmed.
import { asFedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import type { IncomingStream, Resume } from '../stream/incoming-stream.js';
import type { ArrivingModel } from './arriving-model.js';
import type { DiskRoom, Promised } from './disk-room.js';
import type { EarlyCheck } from './early-check.js';
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
  /** Promises room for the object, and is told what was written. */
  readonly room?: DiskRoom | undefined;
  /** Looks at the head of an object that is a model; one that it refuses is not kept. */
  readonly early?: EarlyCheck | undefined;
  /** Takes the model while it arrives, from its head on. */
  readonly arriving?: ArrivingModel | undefined;
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
 * value that it returns is closed if the sender could not be told, or if `taken`, which is called
 * with it before, throws. The stream is confirmed or refused in every case. An object that did not
 * arrive whole stays as a part, to be resumed.
 */
export async function receiveObject<T extends { close?(): void | Promise<void> }>(
  stream: IncomingStream,
  options: ReceiveObjectOptions,
  open: () => Promise<T>,
  taken?: (value: T) => Promise<void> | undefined,
): Promise<ReceivedObject<T>> {
  const { folder, name } = options;
  const part = new Part(folder, name);
  const startedMs = performance.now();
  try {
    checkObjectSize(stream.totalBytes ?? 0, options.maxBytes);
    const resume = await part.resume(stream);
    const resumedBytes = resume?.offset ?? 0;
    const objectBytes = await new Arrival(stream, part, options).write(resume);
    await part.finish(options.durable !== false);
    const value = await opened(options, open);
    try {
      await taken?.(value);
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
    await options.arriving?.fail(failure);
    if (SPOILT.has(failure.code) || part.refused) await part.remove();
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

/** One attempt at an object: room for it, a look at its head, and its bytes into the part. */
class Arrival {
  readonly #stream: IncomingStream;
  readonly #part: Part;
  readonly #options: ReceiveObjectOptions;
  /** The most bytes that the object may have, by its receiver or by its manifest. */
  #most: number;
  #promised: Promised | undefined;

  constructor(stream: IncomingStream, part: Part, options: ReceiveObjectOptions) {
    this.#stream = stream;
    this.#part = part;
    this.#options = options;
    this.#most = options.maxBytes ?? Number.POSITIVE_INFINITY;
  }

  async write(resume: Resume | undefined): Promise<number> {
    const stream = this.#stream;
    const { onProgress, durable } = this.#options;
    const begun = resume?.offset ?? 0;
    try {
      if (stream.totalBytes !== undefined) await this.#promise(stream.totalBytes - begun);
      await this.#look(begun);
      const writer = await this.#part.write(stream.objectId, resume);
      try {
        for await (const bytes of stream.read({ resume })) {
          checkObjectSize(writer.position + bytes.length, this.#most);
          if (!this.#promised) await this.#promise(bytes.length);
          await writer.append(bytes, stream.sums);
          this.#promised?.wrote(bytes.length);
          await this.#look(writer.position);
          onProgress?.(writer.position);
        }
        if (durable !== false) await writer.sync();
        return writer.position;
      } finally {
        await writer.close();
      }
    } finally {
      this.#promised?.release();
    }
  }

  /** Asks for room: for all that is to come, as soon as its size is known. */
  async #promise(bytes: number): Promise<void> {
    const { room, name } = this.#options;
    this.#promised?.release();
    this.#promised = await room?.take(Math.max(bytes, 0), `the object ${name}`);
  }

  async #look(arrived: number): Promise<void> {
    const { early, folder, arriving } = this.#options;
    if (!early || arrived === 0) return;
    if (!early.head) await this.#lookAtHead(early, arrived);
    if (early.head) arriving?.arrived(folder, this.#part.file, early.head, arrived);
  }

  async #lookAtHead(early: EarlyCheck, arrived: number): Promise<void> {
    try {
      await early.look(this.#options.folder, this.#part.file, arrived, this.#stream.totalBytes, async (most) => {
        this.#most = Math.min(this.#most, most);
        if (this.#stream.totalBytes === undefined) await this.#promise(this.#most - arrived);
      });
    } catch (error) {
      this.#part.refused = true;
      throw error;
    }
  }
}
