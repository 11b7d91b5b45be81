// Lazy views of a model in float32, and back in the dtypes of its checkpoint.
import { FedStreamError } from '../core/errors.js';
import { DTYPES, type Dtype } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import { noteDtypes, notedDtypes, withoutNote } from '../tensor/own-dtypes.js';
import { type Chunk, type ChunkRange, type StateDict, withManifest } from '../tensor/state-dict.js';
import { fileOf, withFile } from '../tensor/stored-file.js';
import type { CodecTable } from './codec.js';
import { encodeModel } from './quantize.js';

const CASTS: Partial<Record<Dtype, Encoding>> = { F16: { codec: 'fp16' }, BF16: { codec: 'bf16' } };

/**
 * The same values as float32. F16 and BF16 tensors become float32 tensors coded with the casts, so
 * no byte is moved; coded tensors are decoded to float32; F64 is rounded. Other dtypes pass as they
 * are.
 */
export function inFloat32(model: StateDict): StateDict {
  const tensors = model.manifest.tensors.map(float32Entry);
  if (tensors.every((tensor, index) => tensor === model.manifest.tensors[index])) return model;
  const manifest: Manifest = { ...model.manifest, tensors };
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    let rounded = new Float32Array(0);
    for await (const chunk of model.chunks(range)) {
      const tensor = tensors[chunk.tensorIndex] as TensorEntry;
      if (chunk.tensor.dtype !== 'F64') {
        yield { ...chunk, tensor };
        continue;
      }
      if (rounded.length < chunk.elements) rounded = new Float32Array(chunk.elements);
      const view = new DataView(chunk.bytes.buffer, chunk.bytes.byteOffset);
      for (let i = 0; i < chunk.elements; i++) rounded[i] = view.getFloat64(8 * i, true);
      yield { ...chunk, tensor, bytes: new Uint8Array(rounded.buffer, 0, 4 * chunk.elements) };
    }
  }
  const stored = model.stored && !model.manifest.tensors.some(({ dtype }) => dtype === 'F64');
  return { manifest, stored, chunks, close: () => model.close?.() };
}

function float32Entry(tensor: TensorEntry): TensorEntry {
  const { dtype, encoding } = tensor;
  if (dtype === 'F32') return tensor;
  if (dtype === 'F64' && encoding.codec === 'raw') return { ...tensor, dtype: 'F32' };
  if (!DTYPES[dtype].quantizable) return tensor;
  return { ...tensor, dtype: 'F32', encoding: encoding.codec === 'raw' ? (CASTS[dtype] as Encoding) : encoding };
}

/** Dtypes whose values a float32 average would round, or that no codec takes. */
const UNAVERAGED: ReadonlySet<Dtype> = new Set([
  'F64',
  'C64',
  'F4',
  'F6_E2M3',
  'F6_E3M2',
  'F8_E5M2',
  'F8_E4M3',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
]);

/** What a person does about it. */
const ADVICE = 'convert it first, with tensor.to(torch.float32) or array.astype("float32")';

/**
 * Throws `unsupported`, with the name and dtype of the first tensor that would have to be averaged
 * and cannot be. `whose` begins the message, and is empty for the model of a run.
 */
export function refuseUnaveraged({ tensors }: Manifest, whose = ''): void {
  const odd = tensors.filter(({ dtype, encoding }) => encoding.codec === 'raw' && UNAVERAGED.has(dtype));
  const [first] = odd;
  if (!first) return;
  const more = odd.length > 1 ? ` (and ${odd.length - 1} more like it)` : '';
  const begin = whose === '' ? '' : `${whose}: `;
  throw new FedStreamError(
    'unsupported',
    `${begin}tensor ${first.name} is ${first.dtype}, which is not averaged${more}: F32, F16 and BF16 are; ${ADVICE}`,
  );
}

/**
 * Like `inFloat32`, with a note of the model's dtypes; throws `unsupported` with the name of a
 * tensor that cannot be averaged.
 */
export function masterOf(model: StateDict): StateDict {
  refuseUnaveraged(model.manifest);
  const widened = inFloat32(model);
  return withManifest(widened, { ...widened.manifest, metadata: noteDtypes(model.manifest).metadata });
}

/** The encoding in which a float32 tensor travels in its checkpoint's dtype. */
export function ownEncoding(manifest: Manifest): (tensor: TensorEntry) => Encoding {
  const own = notedDtypes(manifest);
  return (tensor) => (tensor.dtype === 'F32' ? (CASTS[own(tensor)] ?? RAW) : RAW);
}

/**
 * A float32 model in the dtypes that its manifest notes, or in the given ones: raw, to nearest
 * even. The note itself is removed.
 */
export function inOwnDtypes(
  model: StateDict,
  codecs: CodecTable,
  dtypeOf: (tensor: TensorEntry) => Dtype = notedDtypes(model.manifest),
): StateDict {
  const wanted = (tensor: TensorEntry): Dtype => (tensor.dtype === 'F32' ? dtypeOf(tensor) : tensor.dtype);
  if (model.manifest.tensors.every((tensor) => wanted(tensor) === tensor.dtype))
    return withFile(withManifest(model, withoutNote(model.manifest)), fileOf(model));
  const cast = encodeModel(model, (tensor) => (tensor.dtype === 'F32' ? (CASTS[wanted(tensor)] ?? RAW) : RAW), codecs);
  const tensors = model.manifest.tensors.map((tensor) => ({ ...tensor, dtype: wanted(tensor), encoding: RAW }));
  return withManifest({ ...cast, stored: false }, withoutNote({ ...model.manifest, tensors }));
}
