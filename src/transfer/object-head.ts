// The head of an object in a file: its prefix and manifest, read in pieces and checked.
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import type { ReadableFile } from '../core/storage.js';
import { textPieces } from '../core/text-pieces.js';
import type { Manifest } from '../tensor/manifest.js';
import { ManifestReader } from '../tensor/manifest-reader.js';
import { OBJECT_PREFIX_BYTES, parseObjectPrefix } from './object.js';

/** The head of an object. */
export interface ObjectHead {
  readonly manifest: Manifest;
  /** Bytes before the coded tensors. */
  readonly bytes: number;
}

/** Limits on the manifest of an object that someone else sends. */
export interface HeadLimits {
  readonly manifestBytes?: number | undefined;
  readonly tensors?: number | undefined;
}

/**
 * The manifest's length, if the first `arrived` bytes have the prefix; `limit` beyond the limits.
 */
export async function readManifestLength(file: ReadableFile, source: string, limits: HeadLimits = {}): Promise<number> {
  const prefix = new Uint8Array(OBJECT_PREFIX_BYTES);
  await file.read(prefix, 0);
  const length = parseObjectPrefix(prefix, source);
  const most = Math.min(limits.manifestBytes ?? BUDGETS.manifestBytes.limit, BUDGETS.manifestBytes.limit);
  if (length > most) throw new FedStreamError('limit', `${source} claims a manifest of ${length} bytes; at most ${most} are taken`);
  return length;
}

/**
 * Reads and checks the head of a file that holds at least that much of an object. Throws
 * `bad-manifest`, `unsupported` or `limit`.
 */
export async function readObjectHead(file: ReadableFile, source: string, limits: HeadLimits = {}): Promise<ObjectHead> {
  if (file.sizeBytes < OBJECT_PREFIX_BYTES)
    throw new FedStreamError('bad-manifest', `${source} has ${file.sizeBytes} bytes: it is not an encoded model`);
  const bytes = OBJECT_PREFIX_BYTES + (await readManifestLength(file, source, limits));
  if (bytes > file.sizeBytes) throw new FedStreamError('bad-manifest', `${source} ends inside its manifest`);
  const reader = new ManifestReader(source, { ...(limits.tensors !== undefined && { tensors: limits.tensors }) });
  for await (const piece of textPieces(file, OBJECT_PREFIX_BYTES, bytes)) reader.push(piece);
  return { manifest: reader.finish(), bytes };
}
