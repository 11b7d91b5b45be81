// A model coded, and a coded model decoded: lazy, chunk by chunk, in buffers that are reused.
import { FedStreamError } from '../core/errors.js';
import { tensorRange } from '../tensor/chunks.js';
import { dtypeBytes } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import type { Codec, CodecTable, EncodeReport, Prepared } from './codec.js';
import { layoutOf, tensorCodec } from './layout.js';
import { NonFiniteValue } from './scaling.js';

export type OnReport = (tensor: TensorEntry, report: EncodeReport) => void;

/**
 * Codes each raw tensor as `encodingFor` says; tensors that are coded already stay as they are. Nested scales read a tensor twice.
 * A non-finite value is an error that names the tensor and the index of the element in it.
 */
export function encodeModel(
  model: StateDict,
  encodingFor: (tensor: TensorEntry) => Encoding,
  codecs: CodecTable,
  onReport: OnReport = () => {},
): StateDict {
  const tensors = model.manifest.tensors.map((tensor) =>
    tensor.encoding.codec === 'raw' ? { ...tensor, encoding: encodingFor(tensor) } : tensor,
  );
  const manifest: Manifest = { ...model.manifest, tensors };
  layoutOf(manifest, codecs); // an encoding that cannot be fails here, not while bytes move
  return { manifest, chunks: (range) => encodedChunks(model, manifest, codecs, onReport, range), close: () => model.close?.() };
}

/** Decodes every coded tensor to its own dtype. */
export function decodeModel(model: StateDict, codecs: CodecTable): StateDict {
  const tensors = model.manifest.tensors.map((tensor) => ({ ...tensor, encoding: RAW }));
  const manifest: Manifest = { ...model.manifest, tensors };
  layoutOf(model.manifest, codecs);
  return { manifest, chunks: (range) => decodedChunks(model, manifest, codecs, range), close: () => model.close?.() };
}

async function* encodedChunks(
  model: StateDict,
  manifest: Manifest,
  codecs: CodecTable,
  onReport: OnReport,
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  const values = new Float32Array(manifest.chunkElements);
  const buffer = new Uint8Array(manifest.chunkElements * 4);
  let current = -1;
  let codec: Codec | undefined;
  let prepared: Prepared | undefined;
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
    const bytes = buffer.subarray(0, codec.encodedBytes(chunk.elements));
    onReport(
      tensor,
      named(tensor, chunk.firstElement, () => (codec as Codec).encode(widenInto(tensor.dtype, chunk.bytes, values), bytes, prepared)),
    );
    yield { ...chunk, tensor, bytes };
  }
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
    if (!(cause instanceof NonFiniteValue)) throw cause;
    throw new FedStreamError('non-finite', `tensor ${tensor.name} has ${cause.value} at element ${firstElement + cause.index}`, { cause });
  }
}

async function* decodedChunks(model: StateDict, manifest: Manifest, codecs: CodecTable, range?: ChunkRange): AsyncGenerator<Chunk> {
  const values = new Float32Array(manifest.chunkElements);
  const buffer = new Uint8Array(manifest.chunkElements * 4);
  let current = -1;
  let codec: Codec | undefined;
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
    const decoded = values.subarray(0, chunk.elements);
    codec.decode(chunk.bytes, decoded);
    yield { ...chunk, tensor, bytes: narrowInto(tensor.dtype, decoded, buffer.subarray(0, dtypeBytes(tensor.dtype, chunk.elements))) };
  }
}
