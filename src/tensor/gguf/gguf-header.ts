// Reads the header of a GGUF file (docs/spec/gguf.md) from bytes that may lie: fields, then tensors.
import { BUDGETS } from '../../core/budgets.js';
import type { ReadableFile } from '../../core/storage.js';
import { dtypeBytes, elementCount } from '../dtype.js';
import { tensorNameFault } from '../tensor-name.js';
import { GgufCursor, LIST, SCALAR_BYTES, TEXT } from './gguf-cursor.js';
import { ggufFault } from './gguf-fault.js';
import { GGUF_TYPES, type GgufType } from './gguf-types.js';

/** A list of a header, which is left in the file until somebody needs it. */
export interface GgufList {
  readonly itemType: number;
  readonly count: number;
  /** The position of its first item in the file. */
  readonly at: number;
}

/** A value of a field. */
export type GgufValue = number | boolean | string | GgufList;

/** A tensor and where its bytes lie. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** Row-major, as everywhere here: the last side is the one that GGUF names first. */
  readonly shape: readonly number[];
  /** The position of its first byte in the file. */
  readonly begin: number;
  readonly bytes: number;
}

/** The content of a header. */
export interface GgufHeader {
  readonly version: number;
  readonly fields: ReadonlyMap<string, GgufValue>;
  /** In the order of their bytes. */
  readonly tensors: readonly GgufTensor[];
}

const MAGIC = 0x46554747;
/** The longest name of a field, as the format has it. */
const MAX_KEY_BYTES = 65_535;
const MAX_SIDES = 4;
const MAX_ALIGNMENT = 2 ** 20;
/** A list of lists is allowed by the format, and nobody has one. */
const MAX_NESTED = 2;

/**
 * Reads and checks the header: counts and lengths within their limits, types that are known, places
 * that lie in the file and do not overlap. Throws `bad-tensor-file`. No tensor is read.
 */
export async function readGgufHeader(file: ReadableFile, label: string): Promise<GgufHeader> {
  const cursor = new GgufCursor(file, label);
  if ((await cursor.u32()) !== MAGIC) throw ggufFault(label, 'it is no GGUF file');
  const version = await cursor.u32();
  if (version !== 2 && version !== 3) throw ggufFault(label, `its version is ${wordedVersion(version)}; versions 2 and 3 are read`);
  const tensorCount = await cursor.u64();
  const fieldCount = await cursor.u64();
  if (tensorCount > BUDGETS.ggufTensors.limit)
    throw ggufFault(label, `it claims ${tensorCount} tensors; at most ${BUDGETS.ggufTensors.limit} are read`);
  if (fieldCount > BUDGETS.ggufFields.limit)
    throw ggufFault(label, `it claims ${fieldCount} fields; at most ${BUDGETS.ggufFields.limit} are read`);
  const fields = await readFields(cursor, fieldCount, label);
  const tensors = await readTensors(cursor, tensorCount, label);
  return { version, fields, tensors: placed(tensors, dataStart(cursor.at, fields, label), file.sizeBytes, label) };
}

function wordedVersion(version: number): string {
  const swapped = new DataView(Uint32Array.of(version).buffer).getUint32(0, false);
  return swapped <= 3 ? `${swapped} in big-endian order` : String(version);
}

async function readFields(cursor: GgufCursor, count: number, label: string): Promise<Map<string, GgufValue>> {
  const fields = new Map<string, GgufValue>();
  let held = 0;
  for (let i = 0; i < count; i++) {
    const key = await cursor.text(MAX_KEY_BYTES, `the name of field ${i + 1}`);
    if (fields.has(key)) throw ggufFault(label, `it has the field ${key} twice`);
    const value = await readValue(cursor, await cursor.u32(), key, BUDGETS.ggufFieldBytes.limit - held, label);
    held += key.length + (typeof value === 'string' ? value.length : 0);
    if (held > BUDGETS.ggufFieldBytes.limit)
      throw ggufFault(label, `its fields have more than the ${BUDGETS.ggufFieldBytes.limit} characters that are read`);
    fields.set(key, value);
  }
  return fields;
}

async function readValue(cursor: GgufCursor, type: number, key: string, mostBytes: number, label: string): Promise<GgufValue> {
  if (type === TEXT) return cursor.text(mostBytes, `the field ${key}`);
  if (type !== LIST) {
    if (SCALAR_BYTES[type] === undefined) throw ggufFault(label, `the field ${key} has the unknown type ${type}`);
    return cursor.scalar(type);
  }
  const itemType = await cursor.u32();
  const count = await cursor.u64();
  const at = cursor.at;
  await skipItems(cursor, itemType, count, key, label, 1);
  return { itemType, count, at };
}

/** Goes behind the items of a list; nothing of them is kept. */
async function skipItems(cursor: GgufCursor, type: number, count: number, key: string, label: string, depth: number): Promise<void> {
  const bytes = SCALAR_BYTES[type];
  if (count > BUDGETS.ggufListItems.limit)
    throw ggufFault(label, `the field ${key} has ${count} items; at most ${BUDGETS.ggufListItems.limit} are read`);
  if (bytes !== undefined) return cursor.skip(bytes * count);
  if (type !== TEXT && (type !== LIST || depth >= MAX_NESTED))
    throw ggufFault(label, `the field ${key} is a list of the unknown type ${type}`);
  for (let i = 0; i < count; i++) {
    if (type === TEXT) cursor.skip(await cursor.u64());
    else await skipItems(cursor, await cursor.u32(), await cursor.u64(), key, label, depth + 1);
  }
}

interface Claimed extends Omit<GgufTensor, 'begin'> {
  readonly offset: number;
}

async function readTensors(cursor: GgufCursor, count: number, label: string): Promise<Claimed[]> {
  const tensors: Claimed[] = [];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const name = await cursor.text(MAX_KEY_BYTES, `the name of tensor ${i + 1}`);
    const fault = tensorNameFault(name);
    if (fault !== undefined) throw ggufFault(label, fault);
    if (names.has(name)) throw ggufFault(label, `it has the tensor ${name} twice`);
    names.add(name);
    const sides = await cursor.u32();
    if (sides > MAX_SIDES) throw ggufFault(label, `tensor ${name} claims ${sides} sides; GGUF has at most ${MAX_SIDES}`);
    const shape: number[] = [];
    for (let side = 0; side < sides; side++) shape.unshift(await cursor.u64());
    const number = await cursor.u32();
    const type = GGUF_TYPES.get(number);
    if (!type) throw ggufFault(label, `tensor ${name} has the unknown type ${number}; it may be of a newer llama.cpp`);
    const offset = await cursor.u64();
    tensors.push({ name, type, shape, bytes: bytesOf(name, type, shape, label), offset });
  }
  return tensors;
}

function bytesOf(
  name: string,
  { name: typeName, blockElements, blockBytes, dtype }: GgufType,
  shape: readonly number[],
  label: string,
): number {
  try {
    const elements = elementCount(shape);
    if (dtype) return dtypeBytes(dtype, elements);
    if ((shape.at(-1) ?? 1) % blockElements !== 0)
      throw new Error(`its rows of ${shape.at(-1)} do not fill blocks of ${blockElements} of ${typeName}`);
    const bytes = (elements / blockElements) * blockBytes;
    if (!Number.isSafeInteger(bytes)) throw new Error('it has more than 2^53 bytes');
    return bytes;
  } catch (cause) {
    throw ggufFault(label, `tensor ${name}: ${(cause as Error).message}`);
  }
}

function dataStart(end: number, fields: ReadonlyMap<string, GgufValue>, label: string): { start: number; alignment: number } {
  const alignment = fields.get('general.alignment') ?? 32;
  const fits = typeof alignment === 'number' && alignment >= 1 && alignment <= MAX_ALIGNMENT && Number.isInteger(Math.log2(alignment));
  if (!fits) throw ggufFault(label, `its alignment is ${String(alignment)}; a power of two up to ${MAX_ALIGNMENT} is needed`);
  return { start: Math.ceil(end / alignment) * alignment, alignment };
}

/** Tensors in the order of their bytes, which lie in the file one behind the other. */
function placed(
  tensors: readonly Claimed[],
  { start, alignment }: { start: number; alignment: number },
  sizeBytes: number,
  label: string,
): GgufTensor[] {
  const ordered = [...tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = 0;
  return ordered.map(({ offset, ...tensor }) => {
    if (offset % alignment !== 0) throw ggufFault(label, `tensor ${tensor.name} begins at ${offset}, which is no multiple of ${alignment}`);
    if (offset < end) throw ggufFault(label, `tensor ${tensor.name} begins at ${offset}, the one before it ends at ${end}`);
    end = offset + tensor.bytes;
    if (start + end > sizeBytes)
      throw ggufFault(label, `tensor ${tensor.name} ends at byte ${start + end} of ${sizeBytes}: the file is truncated; fetch it again`);
    return { ...tensor, begin: start + offset };
  });
}
