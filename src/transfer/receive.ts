// Receives an encoded model: verified, whole and safe before it is confirmed; then a lazy model over its spool.
import type { CodecTable } from '../codec/codec.js';
import type { Folder } from '../core/storage.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { TransferFigures } from './figures.js';
import { receiveObject } from './receive-object.js';
import { openSpool } from './spool.js';

export interface ReceiveOptions {
  readonly codecs: CodecTable;
  /** Where the spool goes: on disk, or in memory for `regular`. */
  readonly folder: Folder;
  readonly name: string;
  /** A larger object is refused (`limit`) before it fills the folder. */
  readonly maxBytes?: number;
  /** Whether the spool survives a crash of the machine, and not only one of this process. True by default. */
  readonly durable?: boolean;
  /** Checks the model (its manifest, its values) before it is confirmed; what it throws refuses the transfer. */
  verify?(model: StateDict): void | Promise<void>;
  onProgress?(receivedBytes: number): void;
}

export interface Received {
  readonly model: StateDict;
  readonly figures: TransferFigures;
}

/** Reads the stream to its end. It is confirmed or refused in every case; a spool that did not come whole stays as a part, to go on from. */
export async function receiveModel(stream: IncomingStream, options: ReceiveOptions): Promise<Received> {
  const { value, figures } = await receiveObject(stream, options, () => openVerified(options));
  return { model: value, figures };
}

async function openVerified({ folder, name, codecs, verify }: ReceiveOptions): Promise<StateDict> {
  const model = await openSpool(folder, name, codecs);
  try {
    await verify?.(model);
    return model;
  } catch (error) {
    await model.close?.();
    throw error;
  }
}
