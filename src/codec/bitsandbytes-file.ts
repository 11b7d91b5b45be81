// Writes the 4-bit layout of bitsandbytes and transformers: codes, absmax, maps and `quant_state`.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import type { Folder } from '../core/storage.js';
import { type Dtype, dtypeBytes, elementCount } from '../tensor/dtype.js';
import type { TensorEntry } from '../tensor/manifest.js';
import type { PlacedTensor } from '../tensor/safetensors-header.js';
import type { Chunk, StateDict } from '../tensor/state-dict.js';
import { type TensorFileWriter, type WriteOptions, writeTensorFile } from '../tensor/tensor-file.js';
import { DYNAMIC_MAP } from './dynamic-map.js';
import { FOUR_BIT_BLOCK, NESTED_BLOCK } from './four-bit.js';
import { FP4_VALUES } from './fp4.js';
import { NF4_VALUES } from './nf4.js';

/** Torch's names of the dtypes that are quantized. */
export const TORCH_DTYPES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** The JSON of `quant_state.bitsandbytes__nf4` or `…__fp4`, which is stored as U8. */
export const quantStateSchema = z.object({
  quant_type: z.enum(['nf4', 'fp4']),
  blocksize: z
    .int()
    .min(1)
    .max(2 ** 20),
  dtype: z.enum(['float32', 'float16', 'bfloat16']),
  shape: z.array(z.int().min(0)).min(1).max(8),
  nested_blocksize: z.literal(NESTED_BLOCK).optional(),
  nested_dtype: z.literal('float32').optional(),
  nested_offset: z.number().optional(),
});

/**
 * Bytes of a packed `quant_state`. It is padded with spaces to one length, so that there is room
 * for an offset that is known only while bytes move.
 */
const QUANT_STATE_BYTES = 320;

/** One tensor of the file. */
interface Part {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** The tensors of the file that hold one tensor of the model, codes first. */
function partsOf({ name, dtype, shape, encoding }: TensorEntry): Part[] {
  if (encoding.codec === 'raw') return [{ name, dtype, shape }];
  const elements = elementCount(shape);
  const blocks = Math.ceil(elements / (encoding.blockSize ?? FOUR_BIT_BLOCK));
  const parts: Part[] = [
    { name, dtype: 'U8', shape: [Math.ceil(elements / 2), 1] },
    { name: `${name}.absmax`, dtype: encoding.nested ? 'U8' : 'F32', shape: [blocks] },
    { name: `${name}.quant_map`, dtype: 'F32', shape: [16] },
    { name: `${name}.quant_state.bitsandbytes__${encoding.codec}`, dtype: 'U8', shape: [QUANT_STATE_BYTES] },
  ];
  if (encoding.nested) {
    parts.push({ name: `${name}.nested_absmax`, dtype: 'F32', shape: [Math.ceil(blocks / NESTED_BLOCK)] });
    parts.push({ name: `${name}.nested_quant_map`, dtype: 'F32', shape: [256] });
  }
  return parts;
}

/**
 * Writes a model whose coded tensors are all fp4 or nf4, and returns the file's size in bytes.
 * Throws `unsupported` with the name of a tensor that the layout cannot hold.
 */
export async function writeBitsandbytesModel(folder: Folder, name: string, model: StateDict, options: WriteOptions = {}): Promise<number> {
  const { tensors, metadata, tied } = model.manifest;
  for (const tensor of tensors) checkWritable(tensor);
  const parts = tensors.map(partsOf);
  // bitsandbytes needs no alignment; readers that map a file want float32 at multiples of 4, so the
  // widest dtypes come first.
  const ordered = parts.flat().sort((a, b) => width(b) - width(a));
  const fill = async (writer: TensorFileWriter): Promise<void> => {
    const starts = new Map(ordered.map((part, index) => [part.name, writer.starts[index] as number]));
    const at = (part: string): number => starts.get(part) as number;
    for await (const chunk of model.chunks()) {
      if (chunk.tensor.encoding.codec === 'raw') await writer.write(chunk.bytes, at(chunk.tensor.name) + rawOffset(chunk));
      else await writeChunk(writer, chunk, at);
    }
  };
  return writeTensorFile(folder, name, ordered, { format: 'pt', ...metadata, ...tied }, fill, options);
}

function width({ dtype }: Part): number {
  return dtypeBytes(dtype, 8);
}

function rawOffset({ tensor, firstElement }: Chunk): number {
  return dtypeBytes(tensor.dtype, firstElement);
}

function checkWritable({ name, dtype, encoding }: TensorEntry): void {
  if (encoding.codec === 'raw') return;
  if ((encoding.codec !== 'fp4' && encoding.codec !== 'nf4') || !Object.hasOwn(TORCH_DTYPES, dtype))
    throw new FedStreamError(
      'unsupported',
      `the bitsandbytes layout holds fp4 and nf4; tensor ${name} is ${encoding.codec}: choose nf4, fp4 or another layout`,
    );
}

async function writeChunk(writer: TensorFileWriter, { tensor, firstElement, elements, bytes }: Chunk, at: (part: string) => number) {
  const { name, encoding } = tensor;
  const blockSize = encoding.blockSize ?? FOUR_BIT_BLOCK;
  const blocks = Math.ceil(elements / blockSize);
  const firstBlock = firstElement / blockSize;
  let codes = 4 * blocks;
  let offset: number | undefined;
  if (encoding.nested) {
    const groups = Math.ceil(blocks / NESTED_BLOCK);
    offset = new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
    await writer.write(bytes.subarray(4, 4 + 4 * groups), at(`${name}.nested_absmax`) + (4 * firstBlock) / NESTED_BLOCK);
    await writer.write(bytes.subarray(4 + 4 * groups, 4 + 4 * groups + blocks), at(`${name}.absmax`) + firstBlock);
    codes = 4 + 4 * groups + blocks;
  } else await writer.write(bytes.subarray(0, codes), at(`${name}.absmax`) + 4 * firstBlock);
  await writer.write(bytes.subarray(codes), at(name) + firstElement / 2);
  if (firstElement === 0) await writeOnce(writer, tensor, offset, at);
}

/** Writes the parts that a tensor has once. */
async function writeOnce(writer: TensorFileWriter, tensor: TensorEntry, offset: number | undefined, at: (part: string) => number) {
  const { name, encoding } = tensor;
  await writer.write(bytesOf(encoding.codec === 'nf4' ? NF4_VALUES : FP4_VALUES), at(`${name}.quant_map`));
  if (encoding.nested) await writer.write(bytesOf(DYNAMIC_MAP), at(`${name}.nested_quant_map`));
  await writer.write(quantState(tensor, offset), at(`${name}.quant_state.bitsandbytes__${encoding.codec}`));
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function quantState({ dtype, shape, encoding }: TensorEntry, offset: number | undefined): Uint8Array {
  const state = {
    quant_type: encoding.codec,
    blocksize: encoding.blockSize ?? FOUR_BIT_BLOCK,
    dtype: TORCH_DTYPES[dtype as keyof typeof TORCH_DTYPES],
    shape,
    ...(offset === undefined ? {} : { nested_blocksize: NESTED_BLOCK, nested_dtype: 'float32', nested_offset: offset }),
  };
  const json = new TextEncoder().encode(JSON.stringify(state));
  if (json.length > QUANT_STATE_BYTES)
    throw new FedStreamError('limit', `the quant_state of a tensor with ${shape.length} sides is too long`);
  const padded = new Uint8Array(QUANT_STATE_BYTES).fill(0x20);
  padded.set(json);
  return padded;
}

/** True if a file has a tensor with a `quant_state`. */
export function hasQuantState(tensors: readonly PlacedTensor[]): boolean {
  return tensors.some((tensor) => STATE_NAME.test(tensor.name));
}

/** The name of a `quant_state`: the tensor that it describes, and the codec. */
export const STATE_NAME = /^(.+)\.quant_state\.bitsandbytes__(nf4|fp4)$/s;
