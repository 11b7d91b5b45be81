// A spool: an encoded model in a file, with the bytes that travel.
import { encodeSizes, readSizes, SizeNotes } from '../codec/chunk-sizes.js';
import type { CodecTable } from '../codec/codec.js';
import { hasVaryingCodes, type Layout, layoutOf, type PlacedChunk } from '../codec/layout.js';
import { FedStreamError } from '../core/errors.js';
import type { Folder, ReadableFile, WritableFile } from '../core/storage.js';
import { hashedMemory } from '../stream/hashed-memory.js';
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

/**
 * Codes a model into a spool. It is written beside and renamed, so it exists whole or not at all,
 * even after a crash of the machine unless `durable` is false.
 */
export async function writeSpool(
  model: StateDict,
  codecs: CodecTable,
  folder: Folder,
  name: string,
  { durable = true }: { durable?: boolean } = {},
): Promise<SpoolInfo> {
  const beside = `${name}.part`;
  const file = await folder.create(beside);
  let info: SpoolInfo | undefined;
  try {
    if (hasVaryingCodes(model.manifest, codecs)) await writeVarying(model, codecs, file, `${folder.label}/${name}`);
    else info = await writeSized(model, codecs, file);
    if (durable) await file.sync();
  } catch (error) {
    await file.close();
    await folder.remove(beside);
    throw error;
  }
  await file.close();
  info ??= await spoolInfo(folder, beside); // sizes precede their chunks, so leaves could not be hashed while they were written
  await folder.rename(beside, name);
  return info;
}

async function writeSized(model: StateDict, codecs: CodecTable, file: WritableFile): Promise<SpoolInfo> {
  const hasher = new LeafHasher();
  let position = 0;
  for await (const bytes of objectSource(model, codecs).read(0)) {
    hasher.update(bytes);
    await file.write(bytes, position);
    position += bytes.length;
  }
  const sums = hasher.finish();
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
      chunks: (range) => spoolChunks(file, layout, dataStart, range),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function* spoolChunks(file: ReadableFile, layout: Layout, dataStart: number, range?: ChunkRange): AsyncGenerator<Chunk> {
  let buffer = new Uint8Array(0);
  for (const { offset, bytes: size, ...place } of layout.places(range) as Iterable<PlacedChunk>) {
    if (buffer.length < size) buffer = new Uint8Array(size);
    const bytes = buffer.subarray(0, size);
    await file.read(bytes, dataStart + offset);
    yield { ...place, bytes };
  }
}

/** The bytes of a spool as a source for a stream. Each call of `read` opens the file for itself. */
export function spoolSource(folder: Folder, name: string, info: SpoolInfo): ByteSource {
  return { ...info, holds: true, read: (offset) => readPieces(folder, name, info.totalBytes, offset) };
}

/** Buffers for the piece that is being read, and two that are on their way. */
const PIECES = 3;

/**
 * Yields the bytes of a file from an offset to `end`, a leaf at a time. A piece is valid until the
 * next but one is asked for.
 */
export async function* readPieces(folder: Folder, name: string, end: number, offset = 0): AsyncGenerator<Uint8Array> {
  const file = await folder.open(name);
  const size = Math.min(LEAF_BYTES, Math.max(end - offset, 0));
  const allocate = size < LEAF_BYTES ? (bytes: number) => new Uint8Array(bytes) : hashedMemory(PIECES);
  const buffers = Array.from({ length: PIECES }, () => allocate(size));
  try {
    for (let at = offset, turn = 0; at < end; at += LEAF_BYTES, turn = (turn + 1) % buffers.length) {
      const piece = (buffers[turn] as Uint8Array).subarray(0, Math.min(LEAF_BYTES, end - at));
      await file.read(piece, at);
      yield piece;
    }
  } finally {
    await file.close();
  }
}
