// Positions of a model's coded bytes, from its manifest and, if codes vary, its chunks' sizes.
import { FedStreamError } from '../core/errors.js';
import { type ChunkPlace, chunkPlaces, tensorChunkCount } from '../tensor/chunks.js';
import { DTYPES, dtypeBytes, elementCount } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { ChunkRange } from '../tensor/state-dict.js';
import type { Codec, CodecTable } from './codec.js';
import { codecOf } from './codec-table.js';

/** A chunk and the position of its coded bytes in those of the model. */
export interface PlacedChunk extends ChunkPlace {
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Sizes and offsets of a manifest's chunks, built once. It needs memory for each tensor, and for
 * each chunk only if sizes vary.
 */
export interface Layout {
  readonly manifest: Manifest;
  readonly chunks: number;
  readonly totalBytes: number;
  /** Bytes of a tensor, with the table of sizes before its chunks if they vary. */
  tensorBytes(tensorIndex: number): number;
  /** The chunks of a range with their offsets, in order. */
  places(range?: ChunkRange): Generator<PlacedChunk>;
}

/**
 * Bytes of each chunk, by the tensor's position in the manifest, for the tensors whose codes vary
 * in size.
 */
export type ChunkSizes = ReadonlyMap<number, Uint32Array>;

/** Sizes of a tensor that are known before it is coded. */
export interface TensorLayout {
  readonly chunks: number;
  /** Set if codes vary in size: the coded bytes then begin with the sizes of the chunks. */
  readonly varies: boolean;
  /** Bytes of the table of sizes; 0 if sizes do not vary. */
  readonly tableBytes: number;
  /** Bytes of a chunk of `elements`: exactly, or at most if they vary. */
  chunkBytes(elements: number): number;
  /** Bytes of all chunks: exactly, or at most if they vary. */
  readonly mostBytes: number;
}

/** Bytes of one entry in a table of sizes. */
export const SIZE_BYTES = 4;

const NO_SIZES: ChunkSizes = new Map();

/**
 * The layout of a manifest; `sizes` are those that `parseSizes` has checked. Throws `bad-manifest`
 * or `unsupported` if an encoding is not allowed, `limit` beyond 2^53 − 1 bytes.
 */
export function layoutOf(manifest: Manifest, codecs: CodecTable, sizes: ChunkSizes = NO_SIZES): Layout {
  const tensors = tensorLayouts(manifest, codecs);
  const starts: number[] = [];
  let totalBytes = 0;
  let chunks = 0;
  for (const [index, tensor] of tensors.entries()) {
    starts.push(totalBytes);
    totalBytes += tensor.varies ? tensor.tableBytes + sum(sizesOf(index)) : tensor.mostBytes;
    chunks += tensor.chunks;
  }
  starts.push(totalBytes);
  function sizesOf(index: number): Uint32Array {
    const found = sizes.get(index);
    if (found) return found;
    throw new FedStreamError('internal', `the sizes of the chunks of ${manifest.tensors[index]?.name} are not known`);
  }
  function* places(range?: ChunkRange): Generator<PlacedChunk> {
    let current = -1;
    let offset = 0;
    for (const place of chunkPlaces(manifest, range)) {
      const { tensorIndex, firstElement, elements } = place;
      const { varies, tableBytes, chunkBytes } = tensors[tensorIndex] as TensorLayout;
      const at = firstElement / manifest.chunkElements;
      if (tensorIndex !== current) {
        current = tensorIndex;
        offset = (starts[tensorIndex] as number) + tableBytes;
        offset += varies ? sum(sizesOf(tensorIndex).subarray(0, at)) : at * chunkBytes(manifest.chunkElements);
      }
      const bytes = varies ? (sizesOf(tensorIndex)[at] as number) : chunkBytes(elements);
      yield { ...place, offset, bytes };
      offset += bytes;
    }
  }
  return { manifest, chunks, totalBytes, tensorBytes: (index) => (starts[index + 1] as number) - (starts[index] as number), places };
}

function sum(sizes: Uint32Array): number {
  let total = 0;
  for (let i = 0; i < sizes.length; i++) total += sizes[i] as number;
  return total;
}

/** The layout of every tensor of a manifest; throws as `layoutOf` does. */
export function tensorLayouts(manifest: Manifest, codecs: CodecTable): TensorLayout[] {
  let most = 0;
  const codecFor = tensorCodecs(manifest, codecs); // a parsed manifest has one object for equal encodings
  return manifest.tensors.map((tensor) => {
    const layout = tensorLayout(tensor, manifest, codecFor);
    most += layout.tableBytes + layout.mostBytes;
    if (!Number.isSafeInteger(most)) throw new FedStreamError('limit', 'the model has more than 2^53 coded bytes');
    return layout;
  });
}

function tensorLayout(
  tensor: TensorEntry,
  { chunkElements }: Manifest,
  codecFor: (tensor: TensorEntry) => Codec | undefined,
): TensorLayout {
  const codec = codecFor(tensor);
  const chunkBytes = codec ? (elements: number) => codec.encodedBytes(elements) : (elements: number) => dtypeBytes(tensor.dtype, elements);
  const elements = elementCount(tensor.shape);
  const whole = Math.floor(elements / chunkElements);
  const rest = elements - whole * chunkElements;
  const chunks = tensorChunkCount(tensor, chunkElements);
  const varies = codec?.varies === true && chunks > 0;
  const mostBytes = whole * chunkBytes(chunkElements) + (rest === 0 ? 0 : chunkBytes(rest));
  return { chunks, varies, tableBytes: varies ? SIZE_BYTES * chunks : 0, chunkBytes, mostBytes };
}

/** Sums over the layouts of a manifest. */
interface LayoutSums {
  readonly varies: boolean;
  readonly mostBytes: number;
  /** Bytes of the largest chunk that a codec makes. */
  readonly largestChunk: number;
}

/** Sums by table and manifest: each step of a message asks for them, and a reader of single tensors each time. */
const SUMS = new WeakMap<CodecTable, WeakMap<Manifest, LayoutSums>>();

function sumsOf(manifest: Manifest, codecs: CodecTable): LayoutSums {
  const ofTable = SUMS.get(codecs) ?? new WeakMap<Manifest, LayoutSums>();
  SUMS.set(codecs, ofTable);
  const sums = ofTable.get(manifest) ?? sumsFor(manifest, codecs);
  ofTable.set(manifest, sums);
  return sums;
}

function sumsFor(manifest: Manifest, codecs: CodecTable): LayoutSums {
  let varies = false;
  let mostBytes = 0;
  let largestChunk = 0;
  for (const [index, layout] of tensorLayouts(manifest, codecs).entries()) {
    const tensor = manifest.tensors[index] as TensorEntry;
    varies ||= layout.varies;
    mostBytes += layout.tableBytes + layout.mostBytes;
    const elements = Math.min(elementCount(tensor.shape), manifest.chunkElements);
    if (elements > 0 && tensor.encoding.codec !== RAW.codec) largestChunk = Math.max(largestChunk, layout.chunkBytes(elements));
  }
  return { varies, mostBytes, largestChunk };
}

/** Throws `bad-manifest` or `unsupported` if an encoding is not allowed. */
export function checkEncodings(manifest: Manifest, codecs: CodecTable): void {
  sumsOf(manifest, codecs);
}

/**
 * True if any tensor's codes vary in size: the number of coded bytes is then unknown before the
 * model is coded.
 */
export function hasVaryingCodes(manifest: Manifest, codecs: CodecTable): boolean {
  return sumsOf(manifest, codecs).varies;
}

/** Bytes of a coded model: exactly, or at most if codes vary in size. */
export function mostCodedBytes(manifest: Manifest, codecs: CodecTable): number {
  return sumsOf(manifest, codecs).mostBytes;
}

/** Bytes of the largest chunk that a codec can make of these tensors; 0 if none is coded. */
export function largestCodedChunk(manifest: Manifest, codecs: CodecTable): number {
  return sumsOf(manifest, codecs).largestChunk;
}

/**
 * Looks up the codecs of a manifest's tensors as `tensorCodec` does; one is made for each encoding,
 * since thousands of tensors share a few.
 */
export function tensorCodecs(manifest: Manifest, codecs: CodecTable): (tensor: TensorEntry) => Codec | undefined {
  const made = new Map<Encoding, Codec>();
  return (tensor) => {
    const known = DTYPES[tensor.dtype].quantizable ? made.get(tensor.encoding) : undefined;
    const codec = known ?? tensorCodec(tensor, manifest, codecs);
    if (codec) made.set(tensor.encoding, codec);
    return codec;
  };
}

/**
 * The codec of a tensor, or undefined if it is raw; `bad-manifest` if its dtype or the chunk size
 * does not allow the codec.
 */
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
