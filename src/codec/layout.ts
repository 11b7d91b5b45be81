// Where the coded bytes of a model lie: from a manifest alone, for every encoding.
import { FedStreamError } from '../core/errors.js';
import { type ChunkPlace, chunkPlaces } from '../tensor/chunks.js';
import { DTYPES, dtypeBytes, elementCount } from '../tensor/dtype.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import type { ChunkRange } from '../tensor/state-dict.js';
import type { Codec, CodecTable } from './codec.js';
import { codecOf } from './codec-table.js';

/** A chunk and its coded bytes in the concatenation of all chunks. */
export interface PlacedChunk extends ChunkPlace {
  readonly offset: number;
  readonly bytes: number;
}

/** Sizes and offsets of a manifest's chunks. Built once a manifest; needs memory for its tensors, not for its chunks. */
export interface Layout {
  readonly manifest: Manifest;
  readonly chunks: number;
  readonly totalBytes: number;
  tensorBytes(tensorIndex: number): number;
  /** The chunks of a range with their offsets, in order. */
  places(range?: ChunkRange): Generator<PlacedChunk>;
}

/** Throws `bad-manifest` or `unsupported` where an encoding cannot be, `limit` beyond 2^53 − 1 bytes. */
export function layoutOf(manifest: Manifest, codecs: CodecTable): Layout {
  const { chunkElements, tensors } = manifest;
  const sizes = tensors.map((tensor) => chunkSizer(tensor, manifest, codecs));
  const starts: number[] = [];
  let totalBytes = 0;
  let chunks = 0;
  for (const [index, tensor] of tensors.entries()) {
    const elements = elementCount(tensor.shape);
    const whole = Math.floor(elements / chunkElements);
    const size = sizes[index] as (elements: number) => number;
    starts.push(totalBytes);
    totalBytes += whole * size(chunkElements) + size(elements - whole * chunkElements);
    chunks += Math.ceil(elements / chunkElements);
    if (!Number.isSafeInteger(totalBytes)) throw new FedStreamError('limit', 'the model has more than 2^53 coded bytes');
  }
  starts.push(totalBytes);
  function* places(range?: ChunkRange): Generator<PlacedChunk> {
    for (const place of chunkPlaces(manifest, range)) {
      const size = sizes[place.tensorIndex] as (elements: number) => number;
      const before = (place.firstElement / chunkElements) * size(chunkElements);
      yield { ...place, offset: (starts[place.tensorIndex] as number) + before, bytes: size(place.elements) };
    }
  }
  return { manifest, chunks, totalBytes, tensorBytes: (index) => (starts[index + 1] as number) - (starts[index] as number), places };
}

/** The codec of a tensor, or undefined where it is raw; `bad-manifest` where its dtype or the chunk size forbids it. */
export function tensorCodec(tensor: TensorEntry, manifest: Manifest, codecs: CodecTable): Codec | undefined {
  if (tensor.encoding.codec === 'raw') return undefined;
  if (!DTYPES[tensor.dtype].quantizable)
    throw new FedStreamError('bad-manifest', `tensor ${tensor.name} is ${tensor.dtype}, which ${tensor.encoding.codec} does not code`);
  const codec = codecOf(codecs, tensor.encoding);
  if (manifest.chunkElements % codec.blockSize === 0) return codec;
  throw new FedStreamError(
    'bad-manifest',
    `tensor ${tensor.name}: blocks of ${codec.blockSize} elements do not divide chunks of ${manifest.chunkElements}`,
  );
}

function chunkSizer(tensor: TensorEntry, manifest: Manifest, codecs: CodecTable): (elements: number) => number {
  const codec = tensorCodec(tensor, manifest, codecs);
  const raw = (elements: number): number => dtypeBytes(tensor.dtype, elements);
  if (!codec) return raw;
  return (elements) => (elements === 0 ? 0 : codec.encodedBytes(elements));
}
