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

/** The largest chunk of each manifest that was asked for: readers of single tensors ask each time. */
const LARGEST = new WeakMap<Manifest, number>();

/** Elements of the largest chunk, of the whole model or of a range: a buffer for it holds any. */
export function largestChunk(manifest: Manifest, range?: ChunkRange): number {
  if (range) {
    const { first, last } = tensorsIn(manifest, range);
    if (last - first < manifest.tensors.length / 2) return largestOf(manifest, first, last);
  }
  const known = LARGEST.get(manifest) ?? largestOf(manifest, 0, manifest.tensors.length);
  LARGEST.set(manifest, known);
  return known;
}

function largestOf({ tensors, chunkElements }: Manifest, first: number, last: number): number {
  let most = 0;
  for (let index = first; index < last; index++) most = Math.max(most, elementCount((tensors[index] as TensorEntry).shape));
  return Math.min(most, chunkElements);
}

/** The tensors that a range touches: from `first` up to, not including, `last`. */
export function tensorsIn(manifest: Manifest, { first, end }: ChunkRange): { readonly first: number; readonly last: number } {
  checkRange(first, end);
  const from = first === 0 ? 0 : tensorAt(manifest, first);
  const to = end > first ? tensorAt(manifest, end - 1) + 1 : from;
  return { first: from, last: Math.min(to, manifest.tensors.length) };
}

function checkRange(first: number, end: number): void {
  if (first < 0 || end < first) throw new FedStreamError('bad-argument', `chunk range ${first}..${end} is not a range`);
}

/** The chunks of a tensor as a range over the manifest. */
export function tensorRange(manifest: Manifest, tensorIndex: number): ChunkRange {
  const starts = startsOf(manifest);
  return { first: starts[tensorIndex] as number, end: starts[tensorIndex + 1] as number };
}

/**
 * The number of chunks before each tensor, and behind the last one: whoever reads a model tensor by
 * tensor would otherwise count those before each again, which is quadratic.
 */
const STARTS = new WeakMap<Manifest, Float64Array>();

function startsOf(manifest: Manifest): Float64Array {
  const known = STARTS.get(manifest);
  if (known) return known;
  const { tensors, chunkElements } = manifest;
  const starts = new Float64Array(tensors.length + 1);
  for (let i = 0; i < tensors.length; i++)
    starts[i + 1] = (starts[i] as number) + tensorChunkCount(tensors[i] as TensorEntry, chunkElements);
  STARTS.set(manifest, starts);
  return starts;
}

/** The first tensor that ends behind a chunk, found by halving. */
function tensorAt(manifest: Manifest, chunk: number): number {
  const starts = startsOf(manifest);
  let low = 0;
  let high = manifest.tensors.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((starts[middle + 1] as number) > chunk) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The places of the chunks of a range, in order. */
export function* chunkPlaces(manifest: Manifest, range?: ChunkRange): Generator<ChunkPlace> {
  const { first, end } = range ?? { first: 0, end: Number.POSITIVE_INFINITY };
  checkRange(first, end);
  const { tensors, chunkElements } = manifest;
  const from = first === 0 ? 0 : tensorAt(manifest, first);
  let index = from === 0 ? 0 : (startsOf(manifest)[from] as number);
  for (let tensorIndex = from; tensorIndex < tensors.length && index < end; tensorIndex++) {
    const tensor = tensors[tensorIndex] as TensorEntry;
    const total = elementCount(tensor.shape);
    const count = Math.ceil(total / chunkElements);
    for (let chunk = Math.max(first - index, 0); chunk < count && index + chunk < end; chunk++) {
      const firstElement = chunk * chunkElements;
      const elements = Math.min(chunkElements, total - firstElement);
      yield { tensor, tensorIndex, index: index + chunk, firstElement, elements };
    }
    index += count;
  }
}
