// Opens a data file as what it is by its content: expands it, and tells its kind.
import { createReadStream } from 'node:fs';
import { fileKind, SNIFF_BYTES } from '../../core/file-kind.js';
import type { FileKindName } from '../../core/file-kind-name.js';
import { ioError } from '../storage/io-error.js';
import { expanded } from './decompress.js';

/** A file's content, expanded. */
export interface Content {
  readonly kind: FileKindName;
  readonly looksLike: string;
  /** True where the file itself is compressed. */
  readonly packed: boolean;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Reads no more than the front of the file until `bytes` are asked for. */
export async function openContent(path: string, sizeBytes: number): Promise<Content> {
  const front = await peek(fileBytes(path));
  const kind = fileKind(front.first, sizeBytes);
  if (kind.name !== 'gzip' && kind.name !== 'zstd')
    return { kind: kind.name, looksLike: kind.looksLike, packed: false, bytes: front.bytes };
  const inner = await peek(expanded(front.bytes, kind.name, sizeBytes, path));
  // The size of what is inside is not known; it is larger than what was seen of it.
  const within = fileKind(inner.first, inner.whole ? inner.first.length : Number.POSITIVE_INFINITY);
  return { kind: within.name, looksLike: `${kind.looksLike} with ${within.looksLike} in it`, packed: true, bytes: inner.bytes };
}

async function* fileBytes(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path) as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw ioError(cause, 'read', path);
  }
}

/** The first bytes of a stream, and the stream with them in front again. */
async function peek(bytes: AsyncGenerator<Uint8Array>): Promise<{ first: Uint8Array; whole: boolean; bytes: AsyncIterable<Uint8Array> }> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let whole = false;
  while (length < SNIFF_BYTES && !whole) {
    const { value, done } = await bytes.next();
    whole = done === true;
    if (value) pieces.push(value);
    length += value?.length ?? 0;
  }
  return { first: Buffer.concat(pieces).subarray(0, SNIFF_BYTES), whole: whole && length <= SNIFF_BYTES, bytes: again(pieces, bytes) };
}

async function* again(pieces: readonly Uint8Array[], rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* pieces;
  yield* rest;
}
