// Lazy views of a model coded, and of a coded model decoded, chunk by chunk in reused buffers.
import { FedStreamError } from '../core/errors.js';
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import { largestChunk, tensorRange } from '../tensor/chunks.js';
import { dtypeBytes, elementCount } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { widenInto } from '../tensor/widen.js';
import { CODEC_POOL, type Codec, type CodecPool, type CodecTable, type EncodeReport, type Prepared } from './codec.js';
import { checkEncodings, largestCodedChunk, tensorCodecs } from './layout.js';
import { type PooledPlan, pooledChunks } from './pooled-chunks.js';
import { rawCoder, written } from './raw-coding.js';
import { NonFiniteValue } from './scaling.js';

/** Called with the report of each chunk that was coded. */
export type OnReport = (tensor: TensorEntry, report: EncodeReport) => void;

/**
 * Codes each raw tensor as `encodingFor` says; tensors that are coded already stay as they are.
 * Nested scales read a tensor twice. A model of 32 MiB and more is coded on the threads that
 * `codecs` offers. If no tensor is to be coded, the model itself is returned.
 *
 * Throws `non-finite` with the tensor's name and the element's index for a value that cannot be
 * coded.
 */
export function encodeModel(
  model: StateDict,
  encodingFor: (tensor: TensorEntry) => Encoding,
  codecs: CodecTable,
  onReport: OnReport = () => {},
  pool: CodecPool | undefined = poolFor(model, codecs),
): StateDict {
  const tensors = model.manifest.tensors.map((tensor) =>
    tensor.encoding.codec === 'raw' ? { ...tensor, encoding: encodingFor(tensor) } : tensor,
  );
  if (tensors.every(({ encoding }, index) => encoding.codec === model.manifest.tensors[index]?.encoding.codec)) return model;
  const manifest: Manifest = { ...model.manifest, tensors };
  checkEncodings(manifest, codecs); // an encoding that is not allowed fails here, not while bytes move
  const chunks = (range?: ChunkRange): AsyncGenerator<Chunk> =>
    pool
      ? pooledChunks(model, encodingPlan(model, manifest, codecs, onReport), pool, range)
      : encodedChunks(model, manifest, codecs, onReport, range);
  return { manifest, chunks, close: () => model.close?.() };
}

/**
 * Decodes every coded tensor to its own dtype, on threads as `encodeModel` does. If no tensor is
 * coded, the model itself is returned.
 */
export function decodeModel(model: StateDict, codecs: CodecTable, pool: CodecPool | undefined = poolFor(model, codecs)): StateDict {
  if (model.manifest.tensors.every(({ encoding }) => encoding.codec === RAW.codec)) return model;
  const tensors = model.manifest.tensors.map((tensor) => ({ ...tensor, encoding: RAW }));
  const manifest: Manifest = { ...model.manifest, tensors };
  checkEncodings(model.manifest, codecs);
  const chunks = (range?: ChunkRange): AsyncGenerator<Chunk> =>
    pool ? pooledChunks(model, decodingPlan(model.manifest, manifest, codecs), pool, range) : decodedChunks(model, manifest, codecs, range);
  return { manifest, chunks, close: () => model.close?.() };
}

/**
 * Below this many elements, starting threads takes longer than they save, and costs some 10 MB for
 * each thread.
 */
const LEAST_POOLED_ELEMENTS = 2 ** 23;

/** The threads of a table, if the model is large enough for them. */
export function poolFor({ manifest }: StateDict, codecs: CodecTable): CodecPool | undefined {
  const elements = manifest.tensors.reduce((total, { shape }) => total + elementCount(shape), 0);
  return elements >= LEAST_POOLED_ELEMENTS ? codecs[CODEC_POOL]?.() : undefined;
}

async function* encodedChunks(
  model: StateDict,
  manifest: Manifest,
  codecs: CodecTable,
  onReport: OnReport,
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  const room = chunkRoom(largestCodedChunk(manifest, codecs));
  const raw = rawCoder();
  const codecFor = tensorCodecs(manifest, codecs);
  let current = -1;
  let codec: Codec | undefined;
  let prepared: Prepared | undefined;
  try {
    for await (const chunk of model.chunks(range)) {
      const tensor = manifest.tensors[chunk.tensorIndex] as TensorEntry;
      if (chunk.tensorIndex !== current) {
        current = chunk.tensorIndex;
        codec = chunk.tensor.encoding.codec === 'raw' ? codecFor(tensor) : undefined;
        prepared = codec?.prepare ? await prepare(model, current, codec) : undefined;
      }
      if (!codec) {
        yield { ...chunk, tensor };
        continue;
      }
      const codedBytes = codec.encodedBytes(chunk.elements);
      const bytes = room.of(codec, codedBytes).subarray(0, codedBytes);
      const from = { dtype: tensor.dtype, bytes: chunk.bytes };
      const coder = codec;
      const report = named(tensor, chunk.firstElement, () => raw.encode(coder, from, chunk.elements, bytes, prepared));
      onReport(tensor, report);
      yield { ...chunk, tensor, bytes: written(codec, bytes, report) };
    }
  } finally {
    room.giveBack();
  }
}

/**
 * A buffer for one chunk, lent by the codecs' own memory if they have one; borrowed when it is
 * first needed, and never larger than `chunkBytes`.
 */
function chunkRoom(chunkBytes: number) {
  let lent: Uint8Array | undefined;
  let lender: ChunkMemory | undefined;
  return {
    of(codec: Codec, neededBytes: number): Uint8Array {
      if (lent && lender === codec.memory && lent.length >= neededBytes) return lent;
      if (lent) lender?.giveBack(lent);
      lender = codec.memory;
      const bytes = Math.min(chunkBytes, 2 * neededBytes);
      lent = lender ? lender.borrow(bytes) : new Uint8Array(bytes);
      return lent;
    },
    giveBack(): void {
      if (lent) lender?.giveBack(lent);
      lent = undefined;
    },
  };
}

/** Shows every chunk of a tensor to the codec before the first one is coded. */
async function prepare(model: StateDict, tensorIndex: number, codec: Codec): Promise<Prepared | undefined> {
  const preparation = codec.prepare?.();
  if (!preparation) return undefined;
  const range = tensorRange(model.manifest, tensorIndex);
  const values = new Float32Array(largestChunk(model.manifest, range));
  for await (const chunk of model.chunks(range)) {
    named(chunk.tensor, chunk.firstElement, () => preparation.push(widenInto(chunk.tensor.dtype, chunk.bytes, values)));
  }
  return preparation.finish();
}

/** Adds the tensor's name and the index to the error of a value that cannot be coded. */
function named<T>(tensor: TensorEntry, firstElement: number, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw nameFailure(tensor, firstElement, cause);
  }
}

function nameFailure(tensor: TensorEntry, firstElement: number, cause: unknown): unknown {
  if (!(cause instanceof NonFiniteValue)) return cause;
  return new FedStreamError('non-finite', `tensor ${tensor.name} has ${cause.value} at element ${firstElement + cause.index}`, { cause });
}

function encodingPlan(model: StateDict, manifest: Manifest, codecs: CodecTable, onReport: OnReport): PooledPlan {
  const codecFor = tensorCodecs(manifest, codecs);
  let current = -1;
  let codec: Codec | undefined;
  let prepared: Prepared | undefined;
  return {
    manifest,
    codedBytes: largestCodedChunk(manifest, codecs),
    async workFor(chunk, tensor) {
      if (chunk.tensorIndex !== current) {
        current = chunk.tensorIndex;
        codec = chunk.tensor.encoding.codec === 'raw' ? codecFor(tensor) : undefined;
        prepared = codec?.prepare ? await prepare(model, current, codec) : undefined;
      }
      return codec && { work: 'encode', codec, prepared };
    },
    report: onReport,
    failure: nameFailure,
  };
}

function decodingPlan(coded: Manifest, manifest: Manifest, codecs: CodecTable): PooledPlan {
  const codecFor = tensorCodecs(coded, codecs);
  return {
    manifest,
    codedBytes: largestCodedChunk(coded, codecs),
    async workFor({ tensor }) {
      const codec = codecFor(tensor);
      return codec && { work: 'decode', codec };
    },
    report: () => {},
    failure: nameFailure,
  };
}

async function* decodedChunks(model: StateDict, manifest: Manifest, codecs: CodecTable, range?: ChunkRange): AsyncGenerator<Chunk> {
  const room = chunkRoom(4 * largestChunk(manifest));
  const raw = rawCoder();
  const codecFor = tensorCodecs(model.manifest, codecs);
  try {
    for await (const chunk of model.chunks(range)) {
      const tensor = manifest.tensors[chunk.tensorIndex] as TensorEntry;
      const codec = codecFor(chunk.tensor);
      if (!codec) {
        yield { ...chunk, tensor };
        continue;
      }
      const { dtype } = tensor;
      const rawBytes = dtypeBytes(dtype, chunk.elements);
      const bytes = room.of(codec, rawBytes).subarray(0, rawBytes);
      raw.decode(codec, chunk.bytes, chunk.elements, { dtype, bytes });
      yield { ...chunk, tensor, bytes };
    }
  } finally {
    room.giveBack();
  }
}
