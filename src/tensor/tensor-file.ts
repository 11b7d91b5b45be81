// The bytes of one safetensors file, read at any position or written at known ones.
import { FedStreamError } from '../core/errors.js';
import { readKind } from '../core/file-kind.js';
import type { Folder, ReadableFile } from '../core/storage.js';
import { textPieces } from '../core/text-pieces.js';
import type { TensorEntry } from './manifest.js';
import { wrongKind } from './model-advice.js';
import { encodeHeader, HeaderReader, LENGTH_BYTES, type PlacedTensor, parseHeaderLength } from './safetensors-header.js';

/** An open file whose header was checked. */
export interface TensorFile {
  /** A name for messages to a person. */
  readonly label: string;
  /** Tensors in the order of their bytes. */
  readonly tensors: readonly PlacedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Fills `into` from `position` on, counted from the end of the header. */
  read(into: Uint8Array, position: number): void | Promise<void>;
  close(): void | Promise<void>;
}

/** Reads and checks the header (`bad-tensor-file`); no tensor is read. */
export async function openTensorFile(folder: Folder, name: string): Promise<TensorFile> {
  const file = await folder.open(name);
  const label = `${folder.label}/${name}`;
  try {
    const { tensors, metadata, dataStart } = await readHeader(file, label);
    return { label, tensors, metadata, read: (into, position) => file.read(into, dataStart + position), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(file: ReadableFile, label: string) {
  const { sizeBytes } = file;
  const refusal = wrongKind(await readKind(file), label);
  if (refusal) throw refusal;
  if (sizeBytes < LENGTH_BYTES)
    throw new FedStreamError('bad-tensor-file', `${label} has ${sizeBytes} bytes: it is truncated, or no safetensors file`);
  const length = new Uint8Array(LENGTH_BYTES);
  await file.read(length, 0);
  const headerBytes = parseHeaderLength(length, sizeBytes, label);
  const dataStart = LENGTH_BYTES + headerBytes;
  const reader = new HeaderReader(label);
  for await (const piece of textPieces(file, LENGTH_BYTES, dataStart)) reader.push(piece);
  return { ...reader.finish(sizeBytes - dataStart), dataStart };
}

/** Writes the bytes of tensors. */
export interface TensorFileWriter {
  /**
   * The position at which each tensor's bytes begin, counted from the end of the header; the last
   * entry is the end of them all.
   */
  readonly starts: readonly number[];
  write(bytes: Uint8Array, position: number): void | Promise<void>;
}

/** Options of writing a file. */
export interface WriteOptions {
  /**
   * If true, the file survives a crash of the machine from then on, not only one of this process.
   * True by default.
   */
  readonly durable?: boolean;
}

/** A file that is being written: it appears under its name whole, or not at all. */
export interface BegunTensorFile extends TensorFileWriter {
  /** Ends the file, which then stands under its name; returns its size in bytes. */
  finish(): Promise<number>;
  /** Removes what was written. */
  abandon(): Promise<void>;
}

/** Begins a file beside the one of that name, if there is one. */
export async function beginTensorFile(
  folder: Folder,
  name: string,
  tensors: readonly Omit<TensorEntry, 'encoding'>[],
  metadata: Readonly<Record<string, string>>,
  { durable = true }: WriteOptions = {},
): Promise<BegunTensorFile> {
  const beside = `${name}.part`;
  const { bytes: header, starts } = encodeHeader(tensors, metadata);
  const file = await folder.create(beside, { renamed: true });
  const abandon = async (): Promise<void> => {
    await file.close();
    await folder.remove(beside);
  };
  try {
    await file.write(header, 0);
  } catch (error) {
    await abandon();
    throw error;
  }
  return {
    starts,
    write: (bytes, position) => file.write(bytes, header.length + position),
    async finish() {
      if (durable) await file.sync();
      await file.close();
      await folder.rename(beside, name, { durable });
      return header.length + (starts.at(-1) as number);
    },
    abandon,
  };
}

/** Lets `fill` write the tensors of a file, and ends it. Returns its size in bytes. */
export async function writeTensorFile(
  folder: Folder,
  name: string,
  tensors: readonly Omit<TensorEntry, 'encoding'>[],
  metadata: Readonly<Record<string, string>>,
  fill: (writer: TensorFileWriter) => Promise<void>,
  options: WriteOptions = {},
): Promise<number> {
  const file = await beginTensorFile(folder, name, tensors, metadata, options);
  try {
    await fill(file);
    return await file.finish();
  } catch (error) {
    await file.abandon();
    throw error;
  }
}
