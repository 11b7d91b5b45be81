// A state dict over tensors in memory.
import { FedStreamError } from '../core/errors.js';
import { chunkPlaces } from './chunks.js';
import { type Dtype, dtypeBytes, elementCount } from './dtype.js';
import { CHUNK_ELEMENTS, type Manifest, RAW, type TensorEntry } from './manifest.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';

/** One tensor in memory: raw little-endian bytes of its dtype, C order. */
export interface MemoryTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Served without a copy: whoever changes these bytes changes the model. */
  readonly data: ArrayBufferView;
}

/**
 * Options of `memoryStateDict`: elements a chunk (`CHUNK_ELEMENTS` by default), and the metadata of
 * its manifest (none by default).
 */
export interface MemoryStateDictOptions {
  readonly chunkElements?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * A state dict of the tensors in the order given. Tensors over the very same bytes are tied: the
 * first is kept, the others become its aliases. Throws `bad-argument` if a tensor's bytes do not
 * fit its dtype and shape.
 */
export function memoryStateDict(tensors: readonly MemoryTensor[], options: MemoryStateDictOptions = {}): StateDict {
  const kept: TensorEntry[] = [];
  const data: Uint8Array[] = [];
  const tied: Record<string, string> = {};
  const places = new Map<ArrayBufferLike, Map<string, number>>();
  for (const { name, dtype, shape, data: view } of tensors) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const needed = dtypeBytes(dtype, elementCount(shape));
    if (bytes.length !== needed)
      throw new FedStreamError('bad-argument', `tensor ${name} has ${bytes.length} bytes; ${dtype} [${shape.join(', ')}] needs ${needed}`);
    const inBuffer = places.get(bytes.buffer) ?? new Map<string, number>();
    places.set(bytes.buffer, inBuffer);
    const place = `${bytes.byteOffset} ${bytes.length}`;
    const twin = bytes.length > 0 ? inBuffer.get(place) : undefined;
    if (twin !== undefined) {
      tied[name] = (kept[twin] as TensorEntry).name;
      continue;
    }
    inBuffer.set(place, kept.length);
    kept.push({ name, dtype, shape: [...shape], encoding: RAW });
    data.push(bytes);
  }
  const manifest: Manifest = {
    tensors: kept,
    chunkElements: options.chunkElements ?? CHUNK_ELEMENTS,
    tied,
    metadata: options.metadata ?? {},
  };
  return { manifest, chunks: (range) => memoryChunks(manifest, data, range) };
}

async function* memoryChunks(manifest: Manifest, data: readonly Uint8Array[], range?: ChunkRange): AsyncGenerator<Chunk> {
  for (const place of chunkPlaces(manifest, range)) {
    const { dtype } = place.tensor;
    const start = dtypeBytes(dtype, place.firstElement);
    const bytes = (data[place.tensorIndex] as Uint8Array).subarray(start, start + dtypeBytes(dtype, place.elements));
    yield { ...place, bytes };
  }
}
