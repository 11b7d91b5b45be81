// One safetensors file as a lazy state dict.
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { type ChunkMemory, HEAP } from './chunk-memory.js';
import { chunkPlaces } from './chunks.js';
import { dtypeBytes } from './dtype.js';
import { CHUNK_ELEMENTS, type Manifest, type TensorEntry } from './manifest.js';
import type { PlacedTensor } from './safetensors-header.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';
import { beginTensorFile, openTensorFile, type TensorFile, type WriteOptions } from './tensor-file.js';
import { isTensorName } from './tensor-name.js';

/** Options of opening a file. */
export interface OpenOptions {
  readonly chunkElements?: number;
  /** The lender of chunk buffers; by default the heap. */
  readonly memory?: ChunkMemory;
}

/**
 * Opens a file: its header is read and checked (`bad-tensor-file`), its tensors are not read. Close
 * the state dict to close the file.
 */
export async function openSafetensors(folder: Folder, name: string, options: OpenOptions = {}): Promise<StateDict> {
  return tensorFileModel(await openTensorFile(folder, name), options);
}

/** The tensors of an open file, raw. */
export function tensorFileModel(file: TensorFile, { chunkElements = CHUNK_ELEMENTS, memory = HEAP }: OpenOptions = {}): StateDict {
  const tensors = file.tensors.map(({ name, dtype, shape, encoding }) => ({ name, dtype, shape, encoding }));
  const { tied, rest } = splitTied(file.metadata, tensors);
  const manifest: Manifest = { tensors, chunkElements, tied, metadata: rest };
  return {
    manifest,
    stored: true,
    // A header is refused unless its tensors lie one behind the other.
    readAt: (into, position) => file.read(into, position),
    chunks: (range) => fileChunks(manifest, file, memory, range),
    close: () => file.close(),
  };
}

/**
 * Splits `__metadata__` into names that it ties to a tensor of the file, as
 * `safetensors.torch.save_model` notes them, and free text.
 */
export function splitTied(metadata: Readonly<Record<string, string>>, tensors: readonly TensorEntry[]) {
  const names = new Set(tensors.map((tensor) => tensor.name));
  const tied: Record<string, string> = {};
  const rest: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata)) {
    if (names.has(value) && !names.has(key) && isTensorName(key)) tied[key] = value;
    else rest[key] = value;
  }
  return { tied, rest };
}

async function* fileChunks(manifest: Manifest, file: TensorFile, memory: ChunkMemory, range?: ChunkRange): AsyncGenerator<Chunk> {
  let buffer: Uint8Array = new Uint8Array(0);
  try {
    for (const place of chunkPlaces(manifest, range)) {
      const { dtype } = place.tensor;
      const length = dtypeBytes(dtype, place.elements);
      if (buffer.length < length) {
        memory.giveBack(buffer);
        buffer = memory.borrow(Math.max(length, Math.min(dtypeBytes(dtype, manifest.chunkElements), length * 2)));
      }
      const bytes = buffer.subarray(0, length);
      await file.read(bytes, (file.tensors[place.tensorIndex] as PlacedTensor).begin + dtypeBytes(dtype, place.firstElement));
      yield { ...place, bytes };
    }
  } finally {
    memory.giveBack(buffer);
  }
}

/** A file of raw tensors that is being written, in the order of its manifest. */
export interface SafetensorsWriter {
  /** Writes the next bytes; they may be reused once the call has ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the file, which then stands under its name whole; returns its size in bytes. */
  finish(): Promise<number>;
  /** Removes what was written. */
  abandon(): Promise<void>;
}

/** Begins a file of raw tensors. Throws `bad-argument` where one of them is coded. */
export async function beginSafetensors(
  folder: Folder,
  name: string,
  { tensors, tied, metadata }: Manifest,
  options: WriteOptions = {},
): Promise<SafetensorsWriter> {
  const coded = tensors.find((tensor) => tensor.encoding.codec !== 'raw');
  if (coded)
    throw new FedStreamError(
      'bad-argument',
      `tensor ${coded.name} is coded as ${coded.encoding.codec}; decode the model before it is written as safetensors`,
    );
  const file = await beginTensorFile(folder, name, tensors, { format: 'pt', ...metadata, ...tied }, options);
  let position = 0;
  return {
    async write(bytes) {
      await file.write(bytes, position);
      position += bytes.length;
    },
    async finish() {
      const end = file.starts.at(-1) as number;
      if (position !== end) throw new FedStreamError('internal', `${name}: ${position} bytes were given for tensors of ${end}`);
      return file.finish();
    },
    abandon: () => file.abandon(),
  };
}

/**
 * Writes all tensors of a raw state dict; the file appears under its name whole, or not at all.
 * Returns its size in bytes.
 */
export async function writeSafetensors(folder: Folder, name: string, model: StateDict, options: WriteOptions = {}): Promise<number> {
  const file = await beginSafetensors(folder, name, model.manifest, options);
  try {
    for await (const { bytes } of model.chunks()) await file.write(bytes);
    return await file.finish();
  } catch (error) {
    await file.abandon();
    throw error;
  }
}
