// Reads the header of a safetensors file from bytes that may lie, and writes one.
import { FedStreamError } from '../core/errors.js';
import { DuplicateName, JsonMembers, SPREAD } from '../core/json-members.js';
import { dtypeBytes, elementCount, isDtype } from './dtype.js';
import type { TensorEntry } from './manifest.js';
import { RAW } from './manifest.js';
import { MAX_TENSORS } from './manifest-reader.js';
import { tensorNameFault } from './tensor-name.js';

/** The most bytes of a header, 100 MB as in the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Bytes of the header's length, a little-endian u64 in front of it. */
export const LENGTH_BYTES = 8;

const FETCH_AGAIN = 'a download or a copy that did not end leaves such a file: fetch it again';

/** A tensor and the position of its bytes, counted from the end of the header. */
export interface PlacedTensor extends TensorEntry {
  readonly begin: number;
  readonly end: number;
}

/** The content of a header. */
export interface SafetensorsHeader {
  /** Tensors in the order of their bytes. */
  readonly tensors: readonly PlacedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** The header's length in bytes, checked against the file's size; `bad-tensor-file` if it lies. */
export function parseHeaderLength(bytes: Uint8Array, fileBytes: number, source: string): number {
  const declared = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES))
    throw bad(source, `its header claims ${declared} bytes; at most ${MAX_HEADER_BYTES} are allowed`);
  if (declared < 2n || Number(declared) > fileBytes - LENGTH_BYTES) {
    throw bad(
      source,
      `its header claims ${declared} bytes, and the file has ${Math.max(fileBytes - LENGTH_BYTES, 0)} behind the length: it is truncated, or no safetensors file; ${FETCH_AGAIN}`,
    );
  }
  return Number(declared);
}

/** The header, a tensor, and its shape; or the header and `__metadata__`. */
const MAX_DEPTH = 3;
const METADATA = '__metadata__';
/** The most texts of `__metadata__`: each tied tensor has one. */
const MAX_TEXTS = 100_000;

/**
 * Takes the bytes of a header, piece by piece, and checks everything that the format promises:
 * known dtypes, sizes that fit, no overlap, no hole, nothing behind the end. Throws
 * `bad-tensor-file`.
 */
export class HeaderReader {
  readonly #source: string;
  readonly #json: JsonMembers;
  readonly #tensors: PlacedTensor[] = [];
  readonly #metadata: [string, string][] = [];

  constructor(source: string) {
    this.#source = source;
    this.#json = new JsonMembers({
      spread: [METADATA],
      maxDepth: MAX_DEPTH,
      onMember: (name, entry) => this.#member(name, entry),
      onInner: (_, key, value) => this.#text(key, value),
    });
  }

  push(bytes: Uint8Array): void {
    this.#parsing(() => this.#json.push(bytes));
  }

  /** The header, once all its bytes were given; `dataBytes` follow it in the file. */
  finish(dataBytes: number): SafetensorsHeader {
    this.#parsing(() => this.#json.finish());
    const tensors = this.#tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
    let end = 0;
    for (const tensor of tensors) {
      if (tensor.begin !== end)
        throw bad(this.#source, `tensor ${tensor.name} begins at ${tensor.begin}, the one before it ends at ${end}`);
      end = tensor.end;
    }
    if (end !== dataBytes)
      throw bad(
        this.#source,
        `its tensors end at byte ${end} of ${dataBytes}: the file is ${end > dataBytes ? `truncated; ${FETCH_AGAIN}` : 'longer than its header says'}`,
      );
    return { tensors, metadata: Object.fromEntries(this.#metadata) };
  }

  #parsing(work: () => void): void {
    try {
      work();
    } catch (cause) {
      if (cause instanceof FedStreamError) throw cause;
      if (cause instanceof DuplicateName)
        throw bad(this.#source, `its header has ${JSON.stringify(cause.key)} twice; readers would differ on which one counts`);
      throw new FedStreamError('bad-tensor-file', `${this.#source}: its header is not JSON: ${(cause as Error).message}`, { cause });
    }
  }

  #member(name: string, entry: unknown): void {
    if (name !== METADATA) this.#tensors.push(parseTensor(name, entry, this.#source));
    else if (entry !== SPREAD) throw noTexts(this.#source);
    if (this.#tensors.length > MAX_TENSORS) throw bad(this.#source, `it has more tensors than the ${MAX_TENSORS} that are read`);
  }

  #text(key: string, value: unknown): void {
    if (typeof value !== 'string') throw noTexts(this.#source);
    this.#metadata.push([key, value]);
    if (this.#metadata.length > MAX_TEXTS) throw bad(this.#source, `it has more texts than the ${MAX_TEXTS} that are read`);
  }
}

function noTexts(source: string): FedStreamError {
  return bad(source, 'its __metadata__ is not an object of texts');
}

function parseTensor(name: string, entry: unknown, source: string): PlacedTensor {
  const fault = tensorNameFault(name);
  if (fault !== undefined) throw bad(source, fault);
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  if (typeof dtype !== 'string' || !isDtype(dtype)) throw bad(source, `tensor ${name} has the unknown dtype ${shown(dtype)}`);
  if (!isCounts(shape)) throw bad(source, `tensor ${name} has the shape ${shown(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) throw bad(source, `tensor ${name} has the data_offsets ${shown(offsets)}`);
  const [begin, end] = offsets as [number, number];
  const needed = sizeOf(name, dtype, shape, source);
  if (end - begin !== needed)
    throw bad(source, `tensor ${name} lies at ${begin}..${end}; ${dtype} [${shape.join(', ')}] needs ${needed} bytes`);
  return { name, dtype, shape, encoding: RAW, begin, end };
}

function sizeOf(name: string, dtype: Parameters<typeof dtypeBytes>[0], shape: readonly number[], source: string): number {
  try {
    return dtypeBytes(dtype, elementCount(shape));
  } catch (cause) {
    throw new FedStreamError('bad-tensor-file', `${source}: tensor ${name}: ${(cause as Error).message}`, { cause });
  }
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 64 && value.every((side) => Number.isSafeInteger(side) && side >= 0);
}

/** A value for a message, which must not be as long as the header. */
function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'that is missing').slice(0, 200);
}

function bad(source: string, what: string): FedStreamError {
  return new FedStreamError('bad-tensor-file', `${source}: ${what}`);
}

/**
 * Encodes length and header, padded with spaces so that the data begins at a multiple of 8, as the
 * reference does. Also returns the position at which each tensor begins. Throws `bad-argument` for
 * what no reader of this package takes.
 */
export function encodeHeader(
  tensors: readonly Omit<TensorEntry, 'encoding'>[],
  metadata: Readonly<Record<string, string>>,
): { bytes: Uint8Array; starts: number[] } {
  // The prototype is null, since a tensor may be called __proto__.
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  const starts = [0];
  for (const { name, dtype, shape } of tensors) {
    const begin = starts.at(-1) as number;
    const end = begin + dtypeBytes(dtype, elementCount(shape));
    const fault = tensorNameFault(name);
    if (fault !== undefined) throw new FedStreamError('bad-argument', fault);
    if (name in header) throw new FedStreamError('bad-argument', `a safetensors file cannot hold two tensors named ${name}`);
    header[name] = { dtype, shape, data_offsets: [begin, end] };
    starts.push(end);
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  if (padded > MAX_HEADER_BYTES)
    throw new FedStreamError(
      'bad-argument',
      `${tensors.length} tensors need a header of ${padded} bytes; at most ${MAX_HEADER_BYTES} can be read`,
    );
  const bytes = new Uint8Array(LENGTH_BYTES + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, LENGTH_BYTES);
  return { bytes, starts };
}
