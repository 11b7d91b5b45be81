// Receives an encoded model: verified chunk by chunk, whole before anybody uses it, safe before it is confirmed.
import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Folder, WritableFile } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import type { AcceptOptions, IncomingStream } from '../stream/incoming-stream.js';
import { FRAMING_BYTES, MAX_CHUNK_BYTES } from '../stream/stream-frames.js';
import type { StateDict } from '../tensor/state-dict.js';
import type { TransferFigures } from './figures.js';
import { openSpool, readPieces } from './spool.js';
import type { StreamingMode } from './streaming-mode.js';
import { TensorGrouper } from './tensor-grouper.js';

export interface ReceiveOptions {
  readonly mode: StreamingMode;
  readonly codecs: CodecTable;
  /** Where the spool goes: on disk, or in memory for `regular`. */
  readonly folder: Folder;
  readonly name: string;
  /** A larger object is refused (`limit`) before it fills the folder. */
  readonly maxBytes?: number;
  /** Checks the model (its manifest, its values) before it is confirmed; what it throws refuses the transfer. */
  verify?(model: StateDict): void | Promise<void>;
  onProgress?(receivedBytes: number): void;
}

export interface Received {
  readonly model: StateDict;
  readonly figures: TransferFigures;
}

/** Reads the stream to its end. The stream is confirmed or refused in every case; a spool that did not come whole stays as `.part`, to go on from. */
export async function receiveModel(stream: IncomingStream, options: ReceiveOptions): Promise<Received> {
  const { folder, name } = options;
  const startedMs = performance.now();
  try {
    checkSize(stream.totalBytes ?? 0, options.maxBytes);
    const resume = options.mode === 'container' ? undefined : await resumable(stream, folder, name);
    const receivedBytes = await writePart(stream, options, resume);
    await folder.rename(`${name}.part`, name);
    await folder.remove(`${name}.part.json`);
    const model = await openVerified(options);
    try {
      await stream.confirm();
    } catch (error) {
      // The sender will come again with the same object: nothing of it has to be sent.
      await model.close?.();
      await folder.rename(name, `${name}.part`);
      await noteDigest(stream, options);
      throw error;
    }
    const resumedBytes = resume?.offset ?? 0;
    const wireBytes = receivedBytes - resumedBytes + framing(receivedBytes - resumedBytes);
    const seconds = (performance.now() - startedMs) / 1000;
    return {
      model,
      figures: { wireBytes, objectBytes: receivedBytes, seconds, retries: stream.retries, resumedBytes, digest: stream.foundDigest },
    };
  } catch (error) {
    const failure = asFedStreamError(error);
    if (failure.code === 'digest' || failure.code === 'bad-manifest' || failure.code === 'limit') await forget(folder, name);
    await stream.reject(failure);
    throw failure;
  }
}

/** A spool that does not pass is removed: nobody can use it. */
async function openVerified({ folder, name, codecs, verify }: ReceiveOptions): Promise<StateDict> {
  let model: StateDict | undefined;
  try {
    model = await openSpool(folder, name, codecs);
    await verify?.(model);
    return model;
  } catch (error) {
    await model?.close?.();
    await folder.remove(name);
    throw error;
  }
}

function framing(bytes: number): number {
  return Math.ceil(bytes / MAX_CHUNK_BYTES) * FRAMING_BYTES;
}

function checkSize(bytes: number, maxBytes = Number.POSITIVE_INFINITY): void {
  if (bytes > maxBytes) throw new FedStreamError('limit', `an object of ${bytes} bytes or more was sent; at most ${maxBytes} are taken`);
}

async function writePart(stream: IncomingStream, options: ReceiveOptions, resume: AcceptOptions['resume']): Promise<number> {
  const { folder, name, mode, codecs } = options;
  const file = await folder.create(`${name}.part`, { keep: resume !== undefined });
  let position = resume?.offset ?? 0;
  try {
    await noteDigest(stream, options);
    const grouper = mode === 'container' ? new TensorGrouper(codecs, stream.totalBytes) : undefined;
    for await (const bytes of stream.read({ resume })) {
      checkSize(position + bytes.length, options.maxBytes);
      for (const whole of grouper ? grouper.push(bytes) : [bytes]) position = await append(file, whole, position);
      options.onProgress?.(position);
    }
    for (const rest of grouper?.finish() ?? []) position = await append(file, rest, position);
    await file.sync();
    return position;
  } finally {
    await file.close();
  }
}

/** Says of which object a part is, so that no other is gone on with. */
async function noteDigest({ digest }: IncomingStream, { folder, name }: ReceiveOptions): Promise<void> {
  if (digest !== undefined) await writeText(folder, `${name}.part.json`, JSON.stringify({ digest }));
}

async function append(file: WritableFile, bytes: Uint8Array, position: number): Promise<number> {
  await file.write(bytes, position);
  return position + bytes.length;
}

/** What an earlier try at the very same object left: its bytes were verified before they were written. */
async function resumable(stream: IncomingStream, folder: Folder, name: string): Promise<AcceptOptions['resume']> {
  if (stream.digest === undefined || stream.totalBytes === undefined) return undefined;
  const part = `${name}.part`;
  const offset = await folder.sizeBytes(part);
  const noted = await readText(folder, `${part}.json`);
  if (!offset || noted !== JSON.stringify({ digest: stream.digest }) || offset > stream.totalBytes) return undefined;
  return { offset, prefix: () => readPieces(folder, part, offset) };
}

async function forget(folder: Folder, name: string): Promise<void> {
  await folder.remove(`${name}.part`);
  await folder.remove(`${name}.part.json`);
}
