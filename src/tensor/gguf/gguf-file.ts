// An open GGUF file: its header, its lists on demand, and its tensors as a lazy state dict.
import { BUDGETS } from '../../core/budgets.js';
import type { Folder, ReadableFile } from '../../core/storage.js';
import { chunkPlaces } from '../chunks.js';
import { elementCount } from '../dtype.js';
import { CHUNK_ELEMENTS, type Encoding, type Manifest, RAW, type TensorEntry } from '../manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../state-dict.js';
import { GgufCursor, LIST, TEXT } from './gguf-cursor.js';
import { ggufFault } from './gguf-fault.js';
import { type GgufHeader, type GgufTensor, type GgufValue, readGgufHeader } from './gguf-header.js';

/** An open file whose header was checked. */
export interface GgufFile extends GgufHeader {
  /** A name for messages to a person. */
  readonly label: string;
  /** The items of a field that is a list of texts or numbers; undefined where it is none. */
  list(field: string): Promise<(string | number | boolean)[] | undefined>;
  /** Fills `into` from a position in the file. */
  read(into: Uint8Array, position: number): void | Promise<void>;
  close(): void | Promise<void>;
}

/** Opens a file; `bad-tensor-file` if its header lies. */
export async function openGguf(folder: Folder, name: string): Promise<GgufFile> {
  const file = await folder.open(name);
  const label = `${folder.label}/${name}`;
  try {
    const header = await readGgufHeader(file, label);
    const list = (field: string) => readList(file, label, field, header.fields.get(field));
    return { ...header, label, list, read: (into, position) => file.read(into, position), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readList(
  file: ReadableFile,
  label: string,
  field: string,
  value: GgufValue | undefined,
): Promise<(string | number | boolean)[] | undefined> {
  if (typeof value !== 'object' || value.itemType === LIST) return undefined;
  const cursor = new GgufCursor(file, label, value.at);
  const items: (string | number | boolean)[] = [];
  let held = 0;
  for (let i = 0; i < value.count; i++) {
    const item =
      value.itemType === TEXT
        ? await cursor.text(BUDGETS.ggufFieldBytes.limit, `an item of ${field}`)
        : await cursor.scalar(value.itemType);
    held += typeof item === 'string' ? item.length : 0;
    if (held > BUDGETS.ggufFieldBytes.limit)
      throw ggufFault(label, `the texts of ${field} have more than the ${BUDGETS.ggufFieldBytes.limit} characters that are read`);
    items.push(item);
  }
  return items;
}

/** How a tensor of the file becomes one of a model. */
export interface GgufView {
  readonly name: string;
  /** The row of the file that is row `row` of the model; the same by default. */
  readonly rowOf?: ((row: number) => number) | undefined;
}

/**
 * The tensors as a state dict, coded as they lie; `view` names them, or leaves one out. Close it to
 * close the file.
 */
export function ggufModel(file: GgufFile, view: (tensor: GgufTensor) => GgufView | undefined = ({ name }) => ({ name })): StateDict {
  const sources: { tensor: GgufTensor; view: GgufView }[] = [];
  for (const tensor of file.tensors) {
    const viewed = view(tensor);
    if (viewed) sources.push({ tensor, view: viewed });
  }
  const tensors = sources.map(({ tensor, view: { name } }) => entryOf(tensor, name));
  const manifest: Manifest = { tensors, chunkElements: CHUNK_ELEMENTS, tied: {}, metadata: {} };
  return { manifest, chunks: (range) => chunksOf(manifest, file, sources, range), close: () => file.close() };
}

/** Equal types share one encoding, so that tables are looked up once. */
const ENCODINGS = new Map<string, Encoding>();

function entryOf({ type, shape }: GgufTensor, name: string): TensorEntry {
  if (type.dtype) return { name, dtype: type.dtype, shape, encoding: RAW };
  const encoding = ENCODINGS.get(type.name) ?? { codec: type.name };
  ENCODINGS.set(type.name, encoding);
  // llama.cpp decodes to float32 too.
  return { name, dtype: 'F32', shape, encoding };
}

async function* chunksOf(
  manifest: Manifest,
  file: GgufFile,
  sources: readonly { tensor: GgufTensor; view: GgufView }[],
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  let buffer = new Uint8Array(0);
  for (const place of chunkPlaces(manifest, range)) {
    const { tensor, view } = sources[place.tensorIndex] as { tensor: GgufTensor; view: GgufView };
    const size = (elements: number) => (elements / tensor.type.blockElements) * tensor.type.blockBytes;
    const length = size(place.elements);
    if (buffer.length < length) buffer = new Uint8Array(length);
    const bytes = buffer.subarray(0, length);
    if (view.rowOf) await readRows(file, tensor, view.rowOf, place, bytes, size);
    else await file.read(bytes, tensor.begin + size(place.firstElement));
    yield { ...place, bytes };
  }
}

/** Fills a chunk row by row; its ends may lie inside a row, at the bound of a block. */
async function readRows(
  file: GgufFile,
  { begin, shape }: GgufTensor,
  rowOf: (row: number) => number,
  { firstElement, elements }: { readonly firstElement: number; readonly elements: number },
  into: Uint8Array,
  size: (elements: number) => number,
): Promise<void> {
  const rowElements = elementCount(shape.slice(1));
  for (let done = 0; done < elements; ) {
    const at = firstElement + done;
    const row = Math.floor(at / rowElements);
    const column = at - row * rowElements;
    const count = Math.min(rowElements - column, elements - done);
    await file.read(into.subarray(size(done), size(done + count)), begin + size(rowOf(row) * rowElements + column));
    done += count;
  }
}
