// Reads the 4-bit layout of bitsandbytes as a coded model: each chunk is assembled from its parts.
import { FedStreamError } from '../core/errors.js';
import { elementCount } from '../tensor/dtype.js';
import { CHUNK_ELEMENTS, type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import { splitTied } from '../tensor/safetensors.js';
import type { PlacedTensor } from '../tensor/safetensors-header.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import type { TensorFile } from '../tensor/tensor-file.js';
import { quantStateSchema, STATE_NAME, TORCH_DTYPES } from './bitsandbytes-file.js';
import type { CodecTable } from './codec.js';
import { DYNAMIC_MAP } from './dynamic-map.js';
import { NESTED_BLOCK } from './four-bit.js';
import { FP4_VALUES } from './fp4.js';
import { type Layout, layoutOf, type PlacedChunk } from './layout.js';
import { NF4_VALUES } from './nf4.js';

/** A quant_state is some 200 bytes of JSON. */
const MAX_STATE_BYTES = 65_536;

/** Positions of a tensor's parts in the file. */
interface Source {
  readonly codes: number;
  /** Absent for tensors that are not coded. */
  readonly absmax?: number;
  readonly nestedAbsmax?: number;
  readonly offset?: number;
}

/**
 * The coded model of a file; `bad-tensor-file` if a part is missing, has the wrong size, or is
 * coded with another map.
 */
export async function bitsandbytesModel(file: TensorFile, codecs: CodecTable): Promise<StateDict> {
  const byName = new Map(file.tensors.map((tensor) => [tensor.name, tensor]));
  const used = new Set<string>();
  const coded = new Map<string, { tensor: TensorEntry; source: Source }>();
  for (const state of file.tensors) {
    const [, name, type] = STATE_NAME.exec(state.name) ?? [];
    if (name !== undefined) coded.set(name, await codedTensor(file, byName, used, state, name, type as string));
  }
  const tensors: TensorEntry[] = [];
  const sources: Source[] = [];
  for (const { name, dtype, shape, begin } of file.tensors) {
    const found = coded.get(name);
    if (!found && used.has(name)) continue;
    tensors.push(found?.tensor ?? { name, dtype, shape, encoding: RAW });
    sources.push(found?.source ?? { codes: begin });
  }
  const { tied, rest } = splitTied(file.metadata, tensors);
  const manifest: Manifest = { tensors, chunkElements: CHUNK_ELEMENTS, tied, metadata: rest };
  const layout = layoutOf(manifest, codecs);
  return { manifest, chunks: (range) => assembled(layout, file, sources, range), close: () => file.close() };
}

async function codedTensor(
  file: TensorFile,
  byName: ReadonlyMap<string, PlacedTensor>,
  used: Set<string>,
  state: PlacedTensor,
  name: string,
  type: string,
): Promise<{ tensor: TensorEntry; source: Source }> {
  const bad = (what: string): FedStreamError => new FedStreamError('bad-tensor-file', `${file.label}: tensor ${name}: ${what}`);
  const parsed = await readState(file, state, bad);
  if (parsed.quant_type !== type) throw bad(`its quant_state says ${parsed.quant_type}, its name ${type}`);
  const nested = parsed.nested_blocksize !== undefined;
  if (nested && parsed.nested_offset === undefined) throw bad('its quant_state has no nested_offset');
  const elements = elementCount(parsed.shape);
  const blocks = Math.ceil(elements / parsed.blocksize);
  const part = (suffix: string, dtype: string, count: number): PlacedTensor => {
    const found = byName.get(name + suffix);
    if (!found) throw bad(`the file lacks ${name}${suffix}`);
    if (found.dtype !== dtype || elementCount(found.shape) !== count)
      throw bad(`${name}${suffix} is ${found.dtype} [${found.shape.join(', ')}]; ${count} of ${dtype} belong there`);
    used.add(found.name);
    return found;
  };
  used.add(state.name);
  await checkMap(file, part('.quant_map', 'F32', 16), type === 'nf4' ? NF4_VALUES : FP4_VALUES, bad);
  if (nested) await checkMap(file, part('.nested_quant_map', 'F32', 256), DYNAMIC_MAP, bad);
  const encoding: Encoding = { codec: type, blockSize: parsed.blocksize, ...(nested ? { nested } : {}) };
  const dtype = (Object.keys(TORCH_DTYPES) as (keyof typeof TORCH_DTYPES)[]).find((own) => TORCH_DTYPES[own] === parsed.dtype) ?? 'F32';
  const source: Source = {
    codes: part('', 'U8', Math.ceil(elements / 2)).begin,
    absmax: part('.absmax', nested ? 'U8' : 'F32', blocks).begin,
    ...(nested
      ? { nestedAbsmax: part('.nested_absmax', 'F32', Math.ceil(blocks / NESTED_BLOCK)).begin, offset: parsed.nested_offset as number }
      : {}),
  };
  return { tensor: { name, dtype, shape: parsed.shape, encoding }, source };
}

async function readState(file: TensorFile, state: PlacedTensor, bad: (what: string) => FedStreamError) {
  const length = state.end - state.begin;
  if (state.dtype !== 'U8' || length > MAX_STATE_BYTES) throw bad(`its quant_state is ${state.dtype} of ${length} bytes`);
  const bytes = new Uint8Array(length);
  await file.read(bytes, state.begin);
  try {
    return quantStateSchema.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw bad(`its quant_state cannot be read: ${(cause as Error).message}`);
  }
}

/** Another map than ours would decode to other values. */
async function checkMap(file: TensorFile, part: PlacedTensor, map: Float32Array, bad: (what: string) => FedStreamError): Promise<void> {
  const found = new Float32Array(map.length);
  await file.read(new Uint8Array(found.buffer), part.begin);
  const differs = found.some((value, i) => Math.abs(value - (map[i] as number)) > 1e-6);
  if (differs) throw bad(`${part.name} is not the map that FedStream knows`);
}

async function* assembled(layout: Layout, file: TensorFile, sources: readonly Source[], range?: ChunkRange): AsyncGenerator<Chunk> {
  let buffer = new Uint8Array(0);
  for (const { offset: _, bytes: length, ...place } of layout.places(range)) {
    if (buffer.length < length) buffer = new Uint8Array(length);
    const bytes = buffer.subarray(0, length);
    await assemble(file, sources[place.tensorIndex] as Source, place, bytes);
    yield { ...place, bytes };
  }
}

/**
 * Builds a chunk in the layout of docs/spec/codecs.md: scales, then codes; nested: offset, absmax
 * of the scales, codes of the scales, codes.
 */
async function assemble(file: TensorFile, source: Source, place: Omit<PlacedChunk, 'offset' | 'bytes'>, bytes: Uint8Array): Promise<void> {
  const { tensor, firstElement, elements } = place;
  if (source.absmax === undefined) {
    await file.read(bytes, source.codes + (bytes.length / elements) * firstElement);
    return;
  }
  const blockSize = tensor.encoding.blockSize as number;
  const blocks = Math.ceil(elements / blockSize);
  const firstBlock = firstElement / blockSize;
  let at = 0;
  const next = async (length: number, position: number): Promise<void> => {
    await file.read(bytes.subarray(at, at + length), position);
    at += length;
  };
  if (source.nestedAbsmax !== undefined) {
    new DataView(bytes.buffer, bytes.byteOffset).setFloat32(0, source.offset as number, true);
    at = 4;
    await next(4 * Math.ceil(blocks / NESTED_BLOCK), source.nestedAbsmax + (4 * firstBlock) / NESTED_BLOCK);
    await next(blocks, source.absmax + firstBlock);
  } else await next(4 * blocks, source.absmax + 4 * firstBlock);
  await next(bytes.length - at, source.codes + firstElement / 2);
}
