// The bytes of one safetensors file, read at any position or written at known ones.
import { FedStreamError } from '../core/errors.js';
import { fileKind, SNIFF_BYTES } from '../core/file-kind.js';
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
  await checkKind(file, label);
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

/** Refuses what is another format under the name, with the command that makes it right. */
async function checkKind(file: ReadableFile, label: string): Promise<void> {
  const first = new Uint8Array(Math.min(SNIFF_BYTES, file.sizeBytes));
  await file.read(first, 0);
  const refusal = wrongKind(fileKind(first, file.sizeBytes), label);
  if (refusal) throw refusal;
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

/**
 * Lets `fill` write the tensors. The file appears under its name whole, or not at all: it is
 * written beside the old one and renamed. Returns its size in bytes.
 */
export async function writeTensorFile(
  folder: Folder,
  name: string,
  tensors: readonly Omit<TensorEntry, 'encoding'>[],
  metadata: Readonly<Record<string, string>>,
  fill: (writer: TensorFileWriter) => Promise<void>,
  { durable = true }: WriteOptions = {},
): Promise<number> {
  const beside = `${name}.part`;
  const { bytes: header, starts } = encodeHeader(tensors, metadata);
  const file = await folder.create(beside);
  try {
    await file.write(header, 0);
    await fill({ starts, write: (bytes, position) => file.write(bytes, header.length + position) });
    if (durable) await file.sync();
    await file.close();
    await folder.rename(beside, name);
    return header.length + (starts.at(-1) as number);
  } catch (error) {
    await file.close();
    await folder.remove(beside);
    throw error;
  }
}
