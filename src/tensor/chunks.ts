// Positions of chunks, found from a manifest without reading bytes.
import { FedStreamError } from '../core/errors.js';
import { elementCount } from './dtype.js';
import type { Manifest, TensorEntry } from './manifest.js';
import type { ChunkRange } from './state-dict.js';

/** A chunk without its bytes. */
export interface ChunkPlace {
  readonly tensor: TensorEntry;
  readonly tensorIndex: number;
  readonly index: number;
  readonly firstElement: number;
  readonly elements: number;
}

/** Number of chunks of one tensor; a tensor without elements has none. */
export function tensorChunkCount(tensor: TensorEntry, chunkElements: number): number {
  return Math.ceil(elementCount(tensor.shape) / chunkElements);
}

/** Number of chunks of all tensors. */
export function chunkCount(manifest: Manifest): number {
  let count = 0;
  for (const tensor of manifest.tensors) count += tensorChunkCount(tensor, manifest.chunkElements);
  return count;
}

/** Elements of the largest chunk: a buffer for it holds any chunk. */
export function largestChunk({ tensors, chunkElements }: Manifest): number {
  const most = tensors.reduce((elements, { shape }) => Math.max(elements, elementCount(shape)), 0);
  return Math.min(most, chunkElements);
}

/** The chunks of a tensor as a range over the manifest. */
export function tensorRange(manifest: Manifest, tensorIndex: number): ChunkRange {
  let first = 0;
  for (let i = 0; i < tensorIndex; i++) first += tensorChunkCount(manifest.tensors[i] as TensorEntry, manifest.chunkElements);
  return { first, end: first + tensorChunkCount(manifest.tensors[tensorIndex] as TensorEntry, manifest.chunkElements) };
}

/** The places of the chunks of a range, in order. */
export function* chunkPlaces(manifest: Manifest, range?: ChunkRange): Generator<ChunkPlace> {
  const { first, end } = range ?? { first: 0, end: Number.POSITIVE_INFINITY };
  if (first < 0 || end < first) throw new FedStreamError('bad-argument', `chunk range ${first}..${end} is not a range`);
  let index = 0;
  for (const [tensorIndex, tensor] of manifest.tensors.entries()) {
    const total = elementCount(tensor.shape);
    const count = Math.ceil(total / manifest.chunkElements);
    if (index >= end) return;
    const from = Math.max(first - index, 0);
    for (let chunk = from; chunk < count && index + chunk < end; chunk++) {
      const firstElement = chunk * manifest.chunkElements;
      const elements = Math.min(manifest.chunkElements, total - firstElement);
      yield { tensor, tensorIndex, index: index + chunk, firstElement, elements };
    }
    index += count;
  }
}
