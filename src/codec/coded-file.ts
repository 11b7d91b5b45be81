// A coded model as a safetensors file: a coded tensor's chunks as U8, and the manifest in `__metadata__`. Specification: docs/spec/codecs.md.
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { type ChunkMemory, HEAP } from '../tensor/chunk-memory.js';
import type { Dtype } from '../tensor/dtype.js';
import { RAW, type TensorEntry } from '../tensor/manifest.js';
import { encodeManifest, parseManifest } from '../tensor/manifest-json.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { type TensorFile, type TensorFileWriter, type WriteOptions, writeTensorFile } from '../tensor/tensor-file.js';
import type { CodecTable } from './codec.js';
import { type Layout, layoutOf } from './layout.js';

/** The key of `__metadata__` that holds the manifest. */
export const MANIFEST_KEY = 'fedstream.manifest';

/** Writes a model, coded or not; every coded tensor keeps its encoding. Returns the file's size in bytes. */
export async function writeCodedModel(
  folder: Folder,
  name: string,
  model: StateDict,
  codecs: CodecTable,
  options: WriteOptions = {},
): Promise<number> {
  const layout = layoutOf(model.manifest, codecs);
  const entries = model.manifest.tensors.map((tensor, index) => stored(tensor, layout.tensorBytes(index)));
  const { metadata, tied } = model.manifest;
  const manifest = new TextDecoder().decode(encodeManifest(model.manifest));
  const fill = async (writer: TensorFileWriter): Promise<void> => {
    let position = 0;
    for await (const { bytes } of model.chunks()) {
      await writer.write(bytes, position);
      position += bytes.length;
    }
    if (position !== layout.totalBytes)
      throw new FedStreamError('internal', `${name}: ${position} coded bytes were given where ${layout.totalBytes} belong`);
  };
  return writeTensorFile(folder, name, entries, { format: 'pt', ...metadata, ...tied, [MANIFEST_KEY]: manifest }, fill, options);
}

/** The entry of the file that holds a tensor. */
function stored(tensor: TensorEntry, codedBytes: number): { name: string; dtype: Dtype; shape: readonly number[] } {
  return tensor.encoding.codec === 'raw' ? tensor : { name: tensor.name, dtype: 'U8', shape: [codedBytes] };
}

/** The coded model in a file that has a manifest; `bad-tensor-file` where the file does not hold what the manifest says. */
export function codedFileModel(file: TensorFile, codecs: CodecTable, memory: ChunkMemory = HEAP): StateDict {
  const manifest = parseManifest(new TextEncoder().encode(file.metadata[MANIFEST_KEY] as string), file.label);
  const layout = layoutOf(manifest, codecs);
  if (manifest.tensors.length !== file.tensors.length) throw lies(file, `it has ${file.tensors.length} tensors`);
  for (const [index, tensor] of manifest.tensors.entries()) {
    const expected = stored(tensor, layout.tensorBytes(index));
    const found = file.tensors[index] as TensorEntry;
    if (described(expected) !== described(found)) throw lies(file, `it has ${described(found)} where ${described(expected)} belongs`);
  }
  return { manifest, chunks: (range) => codedChunks(layout, file, memory, range), close: () => file.close() };
}

function described({ name, dtype, shape }: Omit<TensorEntry, 'encoding'>): string {
  return `${name} ${dtype} [${shape.join(', ')}]`;
}

function lies(file: TensorFile, what: string): FedStreamError {
  return new FedStreamError('bad-tensor-file', `${file.label} does not fit its manifest: ${what}`);
}

async function* codedChunks(layout: Layout, file: TensorFile, memory: ChunkMemory, range?: ChunkRange): AsyncGenerator<Chunk> {
  let buffer: Uint8Array = new Uint8Array(0);
  try {
    for (const { offset, bytes: length, ...place } of layout.places(range)) {
      if (buffer.length < length) {
        memory.giveBack(buffer);
        buffer = memory.borrow(length);
      }
      const bytes = buffer.subarray(0, length);
      await file.read(bytes, offset);
      yield { ...place, bytes };
    }
  } finally {
    memory.giveBack(buffer);
  }
}

/** Whether any tensor is coded. */
export function isCoded(model: StateDict): boolean {
  return model.manifest.tensors.some((tensor) => tensor.encoding.codec !== RAW.codec);
}
