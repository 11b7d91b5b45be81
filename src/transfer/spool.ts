// A spool: an encoded model in a file, with the bytes that travel.
import { encodeSizes, readSizes, SizeNotes } from '../codec/chunk-sizes.js';
import type { CodecTable } from '../codec/codec.js';
import { hasVaryingCodes, type Layout, layoutOf, type PlacedChunk } from '../codec/layout.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder, WritableFile } from '../core/storage.js';
import { leafPieces, type ReadAt } from '../stream/leaf-pieces.js';
import { LEAF_BYTES, LeafHasher, type LeafSums } from '../stream/leaf-sums.js';
import type { ByteSource } from '../stream/source.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { encodeObjectHead, objectSource } from './object.js';
import { type ObjectHead, readObjectHead } from './object-head.js';

/** Size, digest and checksums of a spool. */
export interface SpoolInfo {
  readonly totalBytes: number;
  readonly digest: string;
  readonly sums: LeafSums;
}

/** Whoever reads a spool while it is written: told of its checksums and bytes, leaf sums first. */
export interface SpoolFollower {
  readonly sums: LeafSums;
  /** The first `bytes` bytes are written; an error that it throws ends the writing. */
  reached(bytes: number): void;
}

/** Options of writing a spool. */
export interface WriteSpoolOptions {
  /** If true, the spool survives a crash of the machine. True by default. */
  readonly durable?: boolean;
  /** Follows a spool of codes of known sizes. */
  readonly following?: SpoolFollower | undefined;
}

/** The name of a spool that is being written. */
export function partOfSpool(name: string): string {
  return `${name}.part`;
}

/**
 * Codes a model into a spool. It is written beside and renamed, so it exists whole or not at all,
 * even after a crash of the machine unless `durable` is false.
 */
export async function writeSpool(
  model: StateDict,
  codecs: CodecTable,
  folder: Folder,
  name: string,
  { durable = true, following }: WriteSpoolOptions = {},
): Promise<SpoolInfo> {
  const beside = partOfSpool(name);
  const file = await folder.create(beside, { renamed: true });
  let info: SpoolInfo | undefined;
  try {
    if (hasVaryingCodes(model.manifest, codecs)) await writeVarying(model, codecs, file, `${folder.label}/${name}`);
    else info = await writeSized(model, codecs, file, following);
    if (durable) await file.sync();
  } catch (error) {
    await file.close();
    await folder.remove(beside);
    throw error;
  }
  await file.close();
  info ??= await spoolInfo(folder, beside); // sizes precede their chunks, so leaves could not be hashed while they were written
  await folder.rename(beside, name, { durable });
  return info;
}

async function writeSized(model: StateDict, codecs: CodecTable, file: WritableFile, following?: SpoolFollower): Promise<SpoolInfo> {
  const hasher = new LeafHasher(following?.sums);
  let position = 0;
  for await (const bytes of objectSource(model, codecs).read(0)) {
    hasher.update(bytes);
    await file.write(bytes, position);
    position += bytes.length;
    // The last leaf has no checksum yet, if it is short.
    following?.reached(position - (position % LEAF_BYTES));
  }
  const sums = hasher.finish();
  following?.reached(position);
  return { totalBytes: position, digest: await sums.digest(), sums };
}

/** Leaves room for the sizes before the chunks of a tensor, and fills it once they are known. */
async function writeVarying(model: StateDict, codecs: CodecTable, file: WritableFile, what: string): Promise<void> {
  const head = encodeObjectHead(model.manifest);
  await file.write(head, 0);
  const notes = new SizeNotes(model.manifest, codecs, what);
  const tables = new Map<number, number>();
  let position = head.length;
  for await (const chunk of model.chunks()) {
    const { tensorIndex, bytes } = chunk;
    if (notes.sizes.has(tensorIndex) && !tables.has(tensorIndex)) {
      tables.set(tensorIndex, position);
      position += notes.tensors[tensorIndex]?.tableBytes ?? 0;
    }
    notes.note(chunk);
    await file.write(bytes, position);
    position += bytes.length;
  }
  for (const [tensorIndex, at] of tables) await file.write(encodeSizes(notes.sizes.get(tensorIndex) as Uint32Array), at);
}

/** Reads a spool to find its size, digest and checksums. */
export async function spoolInfo(folder: Folder, name: string): Promise<SpoolInfo> {
  const totalBytes = (await folder.sizeBytes(name)) ?? 0;
  const hasher = new LeafHasher();
  for await (const bytes of readPieces(folder, name, totalBytes)) hasher.update(bytes);
  const sums = hasher.finish();
  return { totalBytes, digest: await sums.digest(), sums };
}

/**
 * The model of a spool, lazy; `bad-manifest` if prefix, manifest or size lie. Close it to close the
 * file. A head of the very same file that was read already is not read again.
 */
export async function openSpool(folder: Folder, name: string, codecs: CodecTable, known?: ObjectHead): Promise<StateDict> {
  const source = `${folder.label}/${name}`;
  const file = await folder.open(name);
  try {
    const { manifest: parsed, bytes: dataStart } = known ?? (await readObjectHead(file, source));
    const read = (into: Uint8Array, position: number): void | Promise<void> => file.read(into, dataStart + position);
    const layout = layoutOf(parsed, codecs, await readSizes(parsed, codecs, { sizeBytes: file.sizeBytes - dataStart, source, read }));
    if (dataStart + layout.totalBytes !== file.sizeBytes) {
      throw new FedStreamError(
        'bad-manifest',
        `${source} has ${file.sizeBytes} bytes; its manifest makes ${dataStart + layout.totalBytes}`,
      );
    }
    return {
      manifest: layout.manifest,
      stored: true,
      readAt: (into, position) => file.read(into, dataStart + position),
      chunks: (range) => chunksAt((into, position) => file.read(into, position), layout, dataStart, range),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The coded chunks of a layout whose bytes begin at `dataStart`. */
export async function* chunksAt(readAt: ReadAt, layout: Layout, dataStart: number, range?: ChunkRange): AsyncGenerator<Chunk> {
  let buffer = new Uint8Array(0);
  for (const { offset, bytes: size, ...place } of layout.places(range) as Iterable<PlacedChunk>) {
    if (buffer.length < size) buffer = new Uint8Array(size);
    const bytes = buffer.subarray(0, size);
    await readAt(bytes, dataStart + offset);
    yield { ...place, bytes };
  }
}

/** The bytes of a spool as a source for a stream. Each call of `read` opens the file for itself. */
export function spoolSource(folder: Folder, name: string, info: SpoolInfo): ByteSource {
  return { ...info, holds: true, read: (offset, kept) => readPieces(folder, name, info.totalBytes, offset, kept) };
}

/**
 * Yields the bytes of a file from an offset to `end`, a leaf at a time. A piece is valid while the
 * next `kept` are asked for, by default two.
 */
export async function* readPieces(folder: Folder, name: string, end: number, offset = 0, kept?: number): AsyncGenerator<Uint8Array> {
  const file = await folder.open(name);
  try {
    yield* leafPieces((into, position) => file.read(into, position), end, offset, kept);
  } finally {
    await file.close();
  }
}
