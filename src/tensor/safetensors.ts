// One safetensors file: read lazily, by range; written as a stream, beside the old one, and renamed.
import { FedStreamError } from '../core/errors.js';
import type { Folder, ReadableFile } from '../core/storage.js';
import { chunkPlaces } from './chunks.js';
import { dtypeBytes } from './dtype.js';
import { CHUNK_ELEMENTS, type Manifest, type TensorEntry } from './manifest.js';
import { encodeHeader, LENGTH_BYTES, type PlacedTensor, parseHeader, parseHeaderLength } from './safetensors-header.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';

export interface OpenOptions {
  readonly chunkElements?: number;
}

/** Opens a file: its header is read and checked (`bad-tensor-file`), its tensors are not. Close the state dict to let the file go. */
export async function openSafetensors(folder: Folder, name: string, options: OpenOptions = {}): Promise<StateDict> {
  const file = await folder.open(name);
  try {
    const { tensors, metadata, dataStart } = await readHeader(file, `${folder.label}/${name}`);
    const entries = tensors.map(({ name, dtype, shape, encoding }) => ({ name, dtype, shape, encoding }));
    const { tied, rest } = splitTied(metadata, entries);
    const manifest: Manifest = { tensors: entries, chunkElements: options.chunkElements ?? CHUNK_ELEMENTS, tied, metadata: rest };
    return { manifest, chunks: (range) => fileChunks(manifest, file, tensors, dataStart, range), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(file: ReadableFile, source: string) {
  const length = new Uint8Array(LENGTH_BYTES);
  if (file.sizeBytes < LENGTH_BYTES)
    throw new FedStreamError('bad-tensor-file', `${source} has ${file.sizeBytes} bytes: it is truncated, or no safetensors file`);
  await file.read(length, 0);
  const headerBytes = parseHeaderLength(length, file.sizeBytes, source);
  const header = new Uint8Array(headerBytes);
  await file.read(header, LENGTH_BYTES);
  const dataStart = LENGTH_BYTES + headerBytes;
  return { ...parseHeader(header, file.sizeBytes - dataStart, source), dataStart };
}

/** Names that `__metadata__` ties to a tensor of the file, as `safetensors.torch.save_model` notes them; the rest is free text. */
function splitTied(metadata: Readonly<Record<string, string>>, tensors: readonly TensorEntry[]) {
  const names = new Set(tensors.map((tensor) => tensor.name));
  const tied: Record<string, string> = {};
  const rest: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (names.has(value) && !names.has(key)) tied[key] = value;
    else rest[key] = value;
  }
  return { tied, rest };
}

async function* fileChunks(
  manifest: Manifest,
  file: ReadableFile,
  tensors: readonly PlacedTensor[],
  dataStart: number,
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  let buffer = new Uint8Array(0);
  for (const place of chunkPlaces(manifest, range)) {
    const { dtype } = place.tensor;
    const length = dtypeBytes(dtype, place.elements);
    if (buffer.length < length) buffer = new Uint8Array(Math.max(length, Math.min(dtypeBytes(dtype, manifest.chunkElements), length * 2)));
    const bytes = buffer.subarray(0, length);
    await file.read(bytes, dataStart + (tensors[place.tensorIndex] as PlacedTensor).begin + dtypeBytes(dtype, place.firstElement));
    yield { ...place, bytes };
  }
}

/** Writes all tensors of a raw state dict; the file appears under its name whole and durable, or not at all. Returns its size in bytes. */
export async function writeSafetensors(folder: Folder, name: string, model: StateDict): Promise<number> {
  const { tensors, tied, metadata } = model.manifest;
  const coded = tensors.find((tensor) => tensor.encoding.codec !== 'raw');
  if (coded)
    throw new FedStreamError(
      'bad-argument',
      `tensor ${coded.name} is coded as ${coded.encoding.codec}; decode the model before it is written as safetensors`,
    );
  const beside = `${name}.part`;
  const file = await folder.create(beside);
  try {
    const header = encodeHeader(tensors, { format: 'pt', ...metadata, ...tied });
    await file.write(header, 0);
    let position = header.length;
    for await (const chunk of model.chunks()) {
      await file.write(chunk.bytes, position);
      position += chunk.bytes.length;
    }
    await file.sync();
    await file.close();
    await folder.rename(beside, name);
    return position;
  } catch (error) {
    await file.close();
    await folder.remove(beside);
    throw error;
  }
}
