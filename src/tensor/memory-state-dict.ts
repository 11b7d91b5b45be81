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
 * Options of `memoryStateDict`: elements a chunk (`CHUNK_ELEMENTS` by default), second names of its
 * tensors (alias → name), and the metadata of its manifest (none of either by default).
 */
export interface MemoryStateDictOptions {
  readonly tied?: Readonly<Record<string, string>>;
  readonly chunkElements?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * A state dict of the tensors in the order given. Tensors over the very same bytes are tensors of
 * their own, each trained for itself: only `tied` says that two names are one tensor. Throws
 * `bad-argument` if a tensor's bytes do not fit its dtype and shape, or if `tied` names another
 * tensor than those.
 */
export function memoryStateDict(tensors: readonly MemoryTensor[], options: MemoryStateDictOptions = {}): StateDict {
  const entries: TensorEntry[] = [];
  const data: Uint8Array[] = [];
  const names = new Set<string>();
  for (const { name, dtype, shape, data: view } of tensors) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const needed = dtypeBytes(dtype, elementCount(shape));
    if (bytes.length !== needed)
      throw new FedStreamError('bad-argument', `tensor ${name} has ${bytes.length} bytes; ${dtype} [${shape.join(', ')}] needs ${needed}`);
    entries.push({ name, dtype, shape: [...shape], encoding: RAW });
    names.add(name);
    data.push(bytes);
  }
  const { tied = {} } = options;
  for (const [alias, name] of Object.entries(tied))
    if (names.has(alias) || !names.has(name))
      throw new FedStreamError(
        'bad-argument',
        `${alias} cannot be a second name of ${name}: ${names.has(alias) ? 'it is a tensor itself' : 'there is no such tensor'}`,
      );
  const manifest: Manifest = {
    tensors: entries,
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
