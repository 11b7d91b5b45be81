// The bytes of one safetensors file: opened with its header checked, or written at known places, beside the old one, and renamed.
import { FedStreamError } from '../core/errors.js';
import type { Folder, ReadableFile } from '../core/storage.js';
import type { TensorEntry } from './manifest.js';
import { encodeHeader, LENGTH_BYTES, type PlacedTensor, parseHeader, parseHeaderLength } from './safetensors-header.js';

export interface TensorFile {
  /** For messages to a person. */
  readonly label: string;
  /** In the order of their bytes. */
  readonly tensors: readonly PlacedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Fills `into` from `position` on, counted from the end of the header. */
  read(into: Uint8Array, position: number): void | Promise<void>;
  close(): void | Promise<void>;
}

/** Reads and checks the header (`bad-tensor-file`), and not a tensor. */
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
  if (sizeBytes < LENGTH_BYTES)
    throw new FedStreamError('bad-tensor-file', `${label} has ${sizeBytes} bytes: it is truncated, or no safetensors file`);
  const length = new Uint8Array(LENGTH_BYTES);
  await file.read(length, 0);
  const headerBytes = parseHeaderLength(length, sizeBytes, label);
  const header = new Uint8Array(headerBytes);
  await file.read(header, LENGTH_BYTES);
  const dataStart = LENGTH_BYTES + headerBytes;
  return { ...parseHeader(header, sizeBytes - dataStart, label), dataStart };
}

export interface TensorFileWriter {
  /** Where each tensor's bytes begin, counted from the end of the header; behind the last, where they all end. */
  readonly starts: readonly number[];
  write(bytes: Uint8Array, position: number): void | Promise<void>;
}

export interface WriteOptions {
  /** Whether the file survives a crash of the machine from then on, and not only one of this process. True by default. */
  readonly durable?: boolean;
}

/** Lets `fill` write the tensors; the file appears under its name whole, or not at all. Returns its size in bytes. */
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
