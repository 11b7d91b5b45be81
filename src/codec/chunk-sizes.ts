// Tables of chunk sizes, for tensors whose codes vary in size (docs/spec/spool.md).
import { FedStreamError } from '../core/errors.js';
import { elementCount } from '../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import type { Chunk } from '../tensor/state-dict.js';
import type { CodecTable } from './codec.js';
import { type ChunkSizes, SIZE_BYTES, type TensorLayout, tensorLayouts } from './layout.js';

/**
 * The most bytes that the chunk sizes of a model may have, since they are held in memory: enough
 * for 4 · 10^12 values in chunks of 2^18.
 */
export const MAX_SIZES_BYTES = 64 * 2 ** 20;

/** The sizes of chunks in bytes, each as a little-endian u32. */
export function encodeSizes(sizes: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(SIZE_BYTES * sizes.length);
  const view = new DataView(bytes.buffer);
  for (const [i, size] of sizes.entries()) view.setUint32(SIZE_BYTES * i, size, true);
  return bytes;
}

/**
 * Reads a table of sizes; throws `bad-manifest` if a chunk has more bytes than its elements can be
 * coded to.
 */
export function parseSizes(
  bytes: Uint8Array,
  tensor: TensorEntry,
  layout: TensorLayout,
  { chunkElements }: Manifest,
  source: string,
): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sizes = new Uint32Array(layout.chunks);
  const last = elementCount(tensor.shape) - (layout.chunks - 1) * chunkElements;
  const most = layout.chunkBytes(chunkElements);
  for (let i = 0; i < sizes.length; i++) {
    const size = view.getUint32(SIZE_BYTES * i, true);
    const bound = i === sizes.length - 1 ? layout.chunkBytes(last) : most;
    if (size > bound)
      throw new FedStreamError(
        'bad-manifest',
        `${source}: chunk ${i} of tensor ${tensor.name} claims ${size} bytes; it has at most ${bound}`,
      );
    sizes[i] = size;
  }
  return sizes;
}

/** Throws `limit` if a model has more chunks of varying size than may be held in memory. */
export function checkSizesBytes(tensors: readonly TensorLayout[], source: string): void {
  const bytes = tensors.reduce((total, { tableBytes }) => total + tableBytes, 0);
  if (bytes > MAX_SIZES_BYTES)
    throw new FedStreamError('limit', `${source} has chunk sizes of ${bytes} bytes; at most ${MAX_SIZES_BYTES} are read`);
}

/** Records the sizes of chunks while they are coded, in the order of the manifest. */
export class SizeNotes {
  /** Sizes in bytes, by the position of each tensor whose codes vary in size. */
  readonly sizes = new Map<number, Uint32Array>();
  readonly tensors: readonly TensorLayout[];
  readonly #chunkElements: number;

  /** `source` names the model in messages. */
  constructor(manifest: Manifest, codecs: CodecTable, source: string) {
    this.tensors = tensorLayouts(manifest, codecs);
    this.#chunkElements = manifest.chunkElements;
    checkSizesBytes(this.tensors, source);
    for (const [index, { varies, chunks }] of this.tensors.entries()) if (varies) this.sizes.set(index, new Uint32Array(chunks));
  }

  /** Records one chunk. Throws `internal` if a codec breaks its contract. */
  note({ tensor, tensorIndex, firstElement, elements, bytes }: Chunk): void {
    const { varies, chunkBytes } = this.tensors[tensorIndex] as TensorLayout;
    const bound = chunkBytes(elements);
    if (varies ? bytes.length > bound : bytes.length !== bound)
      throw new FedStreamError(
        'internal',
        `a chunk of ${tensor.name} has ${bytes.length} coded bytes; ${tensor.encoding.codec} promises ${bound}`,
      );
    const sizes = this.sizes.get(tensorIndex);
    if (sizes) sizes[firstElement / this.#chunkElements] = bytes.length;
  }
}

/** The coded bytes of a model, in memory or in a file. */
export interface CodedBytes {
  readonly sizeBytes: number;
  /** A name for messages to a person. */
  readonly source: string;
  read(into: Uint8Array, position: number): void | Promise<void>;
}

/**
 * Reads the sizes of every tensor that has them; `bad-manifest` if they lead beyond the coded
 * bytes.
 */
export async function readSizes(manifest: Manifest, codecs: CodecTable, { sizeBytes, source, read }: CodedBytes): Promise<ChunkSizes> {
  const found = new Map<number, Uint32Array>();
  const tensors = tensorLayouts(manifest, codecs);
  checkSizesBytes(tensors, source);
  let position = 0;
  for (const [index, layout] of tensors.entries()) {
    if (!layout.varies) {
      position += layout.mostBytes;
      continue;
    }
    const tensor = manifest.tensors[index] as TensorEntry;
    if (position + layout.tableBytes > sizeBytes)
      throw new FedStreamError('bad-manifest', `${source} ends before the chunks of tensor ${tensor.name}`);
    const table = new Uint8Array(layout.tableBytes);
    await read(table, position);
    const sizes = parseSizes(table, tensor, layout, manifest, source);
    found.set(index, sizes);
    position += layout.tableBytes + sizes.reduce((total, size) => total + size, 0);
  }
  return found;
}
