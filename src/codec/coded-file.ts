// A coded model as a safetensors file (docs/spec/codecs.md): chunks as U8, manifest in
// `__metadata__`.
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { type ChunkMemory, HEAP } from '../tensor/chunk-memory.js';
import type { Dtype } from '../tensor/dtype.js';
import { RAW, type TensorEntry } from '../tensor/manifest.js';
import { encodeManifest, parseManifest } from '../tensor/manifest-json.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { type TensorFile, type TensorFileWriter, type WriteOptions, writeTensorFile } from '../tensor/tensor-file.js';
import { encodeSizes, readSizes } from './chunk-sizes.js';
import type { CodecTable } from './codec.js';
import { type ChunkSizes, hasVaryingCodes, type Layout, layoutOf } from './layout.js';
import { spillChunks } from './spilled-chunks.js';

/** The key of `__metadata__` that holds the manifest. */
export const MANIFEST_KEY = 'fedstream.manifest';

/**
 * Writes a model, coded or not; every coded tensor keeps its encoding. Codes that vary in size are
 * first put into a file beside it, since the header tells where every tensor ends. Returns the
 * file's size in bytes.
 */
export async function writeCodedModel(
  folder: Folder,
  name: string,
  model: StateDict,
  codecs: CodecTable,
  options: WriteOptions = {},
): Promise<number> {
  if (!hasVaryingCodes(model.manifest, codecs)) return writeSized(folder, name, model, layoutOf(model.manifest, codecs), NO_SIZES, options);
  const spilled = await spillChunks(folder, `${name}.codes.part`, model, codecs);
  try {
    const { sizes } = spilled;
    return await writeSized(folder, name, spilled.model, layoutOf(model.manifest, codecs, sizes), sizes, options);
  } finally {
    await spilled.remove();
  }
}

const NO_SIZES: ChunkSizes = new Map();

/** Writes a model whose chunks are those of the layout. */
async function writeSized(folder: Folder, name: string, model: StateDict, layout: Layout, sizes: ChunkSizes, options: WriteOptions) {
  const entries = model.manifest.tensors.map((tensor, index) => stored(tensor, layout.tensorBytes(index)));
  const { metadata, tied } = model.manifest;
  const manifest = new TextDecoder().decode(encodeManifest(model.manifest));
  const fill = async (writer: TensorFileWriter): Promise<void> => {
    for (const [index, of] of sizes) await writer.write(encodeSizes(of), writer.starts[index] as number);
    const places = layout.places();
    for await (const { bytes, index } of model.chunks()) {
      const place = places.next().value;
      if (!place || place.index !== index || place.bytes !== bytes.length)
        throw new FedStreamError('internal', `${name}: chunk ${index} has ${bytes.length} coded bytes where ${place?.bytes} belong`);
      await writer.write(bytes, place.offset);
    }
    if (!places.next().done) throw new FedStreamError('internal', `${name}: a coded model ended before its last chunk`);
  };
  return writeTensorFile(folder, name, entries, { format: 'pt', ...metadata, ...tied, [MANIFEST_KEY]: manifest }, fill, options);
}

/** The entry of the file that holds a tensor. */
function stored(tensor: TensorEntry, codedBytes: number): { name: string; dtype: Dtype; shape: readonly number[] } {
  return tensor.encoding.codec === 'raw' ? tensor : { name: tensor.name, dtype: 'U8', shape: [codedBytes] };
}

/**
 * The coded model in a file that has a manifest; `bad-tensor-file` if the file does not hold what
 * the manifest says.
 */
export async function codedFileModel(file: TensorFile, codecs: CodecTable, memory: ChunkMemory = HEAP): Promise<StateDict> {
  const manifest = parseManifest(new TextEncoder().encode(file.metadata[MANIFEST_KEY] as string), file.label);
  const sizeBytes = file.tensors.at(-1)?.end ?? 0;
  const sizes = await readSizes(manifest, codecs, { sizeBytes, source: file.label, read: (into, position) => file.read(into, position) });
  const layout = layoutOf(manifest, codecs, sizes);
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

/** True if any tensor is coded. */
export function isCoded(model: StateDict): boolean {
  return model.manifest.tensors.some((tensor) => tensor.encoding.codec !== RAW.codec);
}
