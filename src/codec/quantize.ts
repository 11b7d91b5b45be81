// A model coded, and a coded model decoded: lazy, chunk by chunk, in buffers that are reused.
import { FedStreamError } from '../core/errors.js';
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import { largestChunk, tensorRange } from '../tensor/chunks.js';
import { dtypeBytes, elementCount } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import { CODEC_POOL, type Codec, type CodecPool, type CodecTable, type EncodeReport, type Prepared } from './codec.js';
import { layoutOf, tensorCodec } from './layout.js';
import { type PooledPlan, pooledChunks } from './pooled-chunks.js';
import { NonFiniteValue } from './scaling.js';

export type OnReport = (tensor: TensorEntry, report: EncodeReport) => void;

/**
 * Codes each raw tensor as `encodingFor` says; tensors that are coded already stay as they are. Nested scales read a tensor twice.
 * A non-finite value is an error that names the tensor and the index of the element in it. A model of
 * 32 MiB and more is coded on the threads that `codecs` offers. Where no tensor is coded it is the model itself, served from where it lies.
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
  layoutOf(manifest, codecs); // an encoding that cannot be fails here, not while bytes move
  const chunks = (range?: ChunkRange): AsyncGenerator<Chunk> =>
    pool
      ? pooledChunks(model, encodingPlan(model, manifest, codecs, onReport), pool, range)
      : encodedChunks(model, manifest, codecs, onReport, range);
  return { manifest, chunks, close: () => model.close?.() };
}

/** Decodes every coded tensor to its own dtype, on threads as `encodeModel` does. Where no tensor is coded it is the model itself. */
export function decodeModel(model: StateDict, codecs: CodecTable, pool: CodecPool | undefined = poolFor(model, codecs)): StateDict {
  if (model.manifest.tensors.every(({ encoding }) => encoding.codec === RAW.codec)) return model;
  const tensors = model.manifest.tensors.map((tensor) => ({ ...tensor, encoding: RAW }));
  const manifest: Manifest = { ...model.manifest, tensors };
  layoutOf(model.manifest, codecs);
  const chunks = (range?: ChunkRange): AsyncGenerator<Chunk> =>
    pool ? pooledChunks(model, decodingPlan(model.manifest, manifest, codecs), pool, range) : decodedChunks(model, manifest, codecs, range);
  return { manifest, chunks, close: () => model.close?.() };
}

/** Below this, starting threads takes longer than they save, and costs some 10 MB a thread. */
const LEAST_POOLED_ELEMENTS = 2 ** 23;

/** The threads of a table, for a model that is worth them. */
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
  const buffers = chunkBuffers(manifest);
  let current = -1;
  let codec: Codec | undefined;
  let prepared: Prepared | undefined;
  try {
    for await (const chunk of model.chunks(range)) {
      const tensor = manifest.tensors[chunk.tensorIndex] as TensorEntry;
      if (chunk.tensorIndex !== current) {
        current = chunk.tensorIndex;
        codec = chunk.tensor.encoding.codec === 'raw' ? tensorCodec(tensor, manifest, codecs) : undefined;
        prepared = codec?.prepare ? await prepare(model, current, codec) : undefined;
      }
      if (!codec) {
        yield { ...chunk, tensor };
        continue;
      }
      const bytes = buffers.bytes(codec).subarray(0, codec.encodedBytes(chunk.elements));
      const { dtype } = tensor;
      const coder = codec;
      const report = named(tensor, chunk.firstElement, () =>
        coder.encodeRaw
          ? coder.encodeRaw({ dtype, bytes: chunk.bytes }, chunk.elements, bytes, prepared)
          : coder.encode(widenInto(dtype, chunk.bytes, buffers.values()), bytes, prepared),
      );
      onReport(tensor, report);
      yield { ...chunk, tensor, bytes };
    }
  } finally {
    buffers.giveBack();
  }
}

/** Room for one chunk, lent by the codecs' own memory where they have one, and for its float32 values. Each is got when first needed. */
function chunkBuffers(manifest: Manifest) {
  const chunkElements = largestChunk(manifest);
  let lent: Uint8Array | undefined;
  let lender: ChunkMemory | undefined;
  let values: Float32Array | undefined;
  return {
    bytes(codec: Codec): Uint8Array {
      if (lent && lender === codec.memory) return lent;
      if (lent) lender?.giveBack(lent);
      lender = codec.memory;
      lent = lender ? lender.borrow(chunkElements * 4) : new Uint8Array(chunkElements * 4);
      return lent;
    },
    values(): Float32Array {
      values ??= new Float32Array(chunkElements);
      return values;
    },
    giveBack(): void {
      if (lent) lender?.giveBack(lent);
      lent = undefined;
    },
  };
}

/** Shows every chunk of a tensor to the codec before the first is coded. */
async function prepare(model: StateDict, tensorIndex: number, codec: Codec): Promise<Prepared | undefined> {
  const preparation = codec.prepare?.();
  if (!preparation) return undefined;
  const values = new Float32Array(model.manifest.chunkElements);
  for await (const chunk of model.chunks(tensorRange(model.manifest, tensorIndex))) {
    named(chunk.tensor, chunk.firstElement, () => preparation.push(widenInto(chunk.tensor.dtype, chunk.bytes, values)));
  }
  return preparation.finish();
}

/** Adds tensor and index to the error of a value that cannot be coded. */
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
  let current = -1;
  let codec: Codec | undefined;
  let prepared: Prepared | undefined;
  return {
    manifest,
    async workFor(chunk, tensor) {
      if (chunk.tensorIndex !== current) {
        current = chunk.tensorIndex;
        codec = chunk.tensor.encoding.codec === 'raw' ? tensorCodec(tensor, manifest, codecs) : undefined;
        prepared = codec?.prepare ? await prepare(model, current, codec) : undefined;
      }
      return codec && { work: 'encode', encoding: codec.encoding, outBytes: codec.encodedBytes(chunk.elements), prepared };
    },
    report: onReport,
    failure: nameFailure,
  };
}

function decodingPlan(coded: Manifest, manifest: Manifest, codecs: CodecTable): PooledPlan {
  return {
    manifest,
    async workFor({ tensor, elements }) {
      const codec = tensorCodec(tensor, coded, codecs);
      return codec && { work: 'decode', encoding: codec.encoding, outBytes: dtypeBytes(tensor.dtype, elements) };
    },
    report: () => {},
    failure: nameFailure,
  };
}

async function* decodedChunks(model: StateDict, manifest: Manifest, codecs: CodecTable, range?: ChunkRange): AsyncGenerator<Chunk> {
  const buffers = chunkBuffers(manifest);
  let current = -1;
  let codec: Codec | undefined;
  try {
    for await (const chunk of model.chunks(range)) {
      const tensor = manifest.tensors[chunk.tensorIndex] as TensorEntry;
      if (chunk.tensorIndex !== current) {
        current = chunk.tensorIndex;
        codec = tensorCodec(chunk.tensor, model.manifest, codecs);
      }
      if (!codec) {
        yield { ...chunk, tensor };
        continue;
      }
      const { dtype } = tensor;
      const bytes = buffers.bytes(codec).subarray(0, dtypeBytes(dtype, chunk.elements));
      if (codec.decodeRaw) codec.decodeRaw(chunk.bytes, chunk.elements, { dtype, bytes });
      else {
        const decoded = buffers.values().subarray(0, chunk.elements);
        codec.decode(chunk.bytes, decoded);
        narrowInto(dtype, decoded, bytes);
      }
      yield { ...chunk, tensor, bytes };
    }
  } finally {
    buffers.giveBack();
  }
}
