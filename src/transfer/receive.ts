// Receives an encoded model into a spool, verified and stored before it is confirmed.
import type { CodecTable } from '../codec/codec.js';
import type { Folder } from '../core/storage.js';
import type { IncomingStream } from '../stream/incoming-stream.js';
import type { Manifest } from '../tensor/manifest.js';
import type { StateDict } from '../tensor/state-dict.js';
import { ArrivingModel, type TakeModel } from './arriving-model.js';
import type { DiskRoom } from './disk-room.js';
import { EarlyCheck } from './early-check.js';
import type { TransferFigures } from './figures.js';
import type { HeadLimits } from './object-head.js';
import { receiveObject } from './receive-object.js';
import { openSpool } from './spool.js';

/** The spool of a model, and the conditions on it. */
export interface ReceiveOptions {
  readonly codecs: CodecTable;
  /** The folder of the spool: on disk, or in memory for the mode `regular`. */
  readonly folder: Folder;
  readonly name: string;
  /** A larger object is refused (`limit`) before it fills the folder. */
  readonly maxBytes?: number;
  /**
   * If true, the spool survives a crash of the machine, not only one of this process. True by
   * default.
   */
  readonly durable?: boolean;
  /** Limits on the manifest; one beyond them is refused before a tensor is taken. */
  readonly limits?: HeadLimits | undefined;
  /** Promises room for the spool before it is written. */
  readonly room?: DiskRoom | undefined;
  /**
   * Checks the manifest as soon as it is there; an error that it throws refuses the object before
   * its tensors are taken.
   */
  expect?(manifest: Manifest): void | Promise<void>;
  /**
   * Checks the model (its manifest, its values) before it is confirmed; an error that it throws
   * refuses the transfer.
   */
  verify?(model: StateDict): void | Promise<void>;
  /**
   * Takes the model while it arrives. The transfer is confirmed once it has; where it throws, the
   * sender is told, and the bytes that have arrived stay for another try.
   */
  readonly take?: TakeModel | undefined;
  onProgress?(receivedBytes: number): void;
}

/** A received model, lazy over its spool, and the figures. */
export interface Received {
  readonly model: StateDict;
  readonly figures: TransferFigures;
}

/**
 * Reads the stream to its end. It is confirmed or refused in every case; a spool that did not
 * arrive whole stays as a part, to be resumed.
 */
export async function receiveModel(stream: IncomingStream, options: ReceiveOptions): Promise<Received> {
  const { codecs, limits, maxBytes, expect } = options;
  const early = new EarlyCheck({ codecs, limits, maxBytes, ...(expect && { expect }) });
  const arriving = options.take && new ArrivingModel(codecs, options.take);
  const { value, figures } = await receiveObject(
    stream,
    { ...options, early, arriving },
    () => openVerified(options, early),
    (model) => arriving?.end(model),
  );
  return { model: value, figures };
}

async function openVerified({ folder, name, codecs, verify }: ReceiveOptions, early: EarlyCheck): Promise<StateDict> {
  // An object that ended before its head was whole is refused here.
  const model = await openSpool(folder, name, codecs, early.head);
  try {
    await verify?.(model);
    return model;
  } catch (error) {
    await model.close?.();
    throw error;
  }
}
