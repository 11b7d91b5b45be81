// An encoded model as one object, the same on the wire and in a spool (docs/spec/spool.md).
import type { CodecTable } from '../codec/codec.js';
import { type Layout, layoutOf, mostCodedBytes } from '../codec/layout.js';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import { leafPieces, type ReadAt } from '../stream/leaf-pieces.js';
import { LeafSums } from '../stream/leaf-sums.js';
import type { ByteSource } from '../stream/source.js';
import type { Manifest } from '../tensor/manifest.js';
import { encodeManifest } from '../tensor/manifest-json.js';
import type { StateDict } from '../tensor/state-dict.js';

/** `FSO1`, little-endian. */
const OBJECT_MAGIC = 0x314f5346;
const OBJECT_VERSION = 1;
/** Bytes of the prefix: magic, version, and the manifest's length. */
export const OBJECT_PREFIX_BYTES = 16;
const MAX_MANIFEST_BYTES = BUDGETS.manifestBytes.limit;

/** Prefix and manifest of an object. */
export function encodeObjectHead(manifest: Manifest): Uint8Array {
  const json = encodeManifest(manifest);
  const head = new Uint8Array(OBJECT_PREFIX_BYTES + json.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, OBJECT_MAGIC, true);
  view.setUint32(4, OBJECT_VERSION, true);
  view.setBigUint64(8, BigInt(json.length), true);
  head.set(json, OBJECT_PREFIX_BYTES);
  return head;
}

/**
 * The manifest's length in bytes from the prefix. Throws `bad-manifest`, `unsupported` or `limit`
 * if the prefix is not one of ours.
 */
export function parseObjectPrefix(prefix: Uint8Array, source: string): number {
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  if (prefix.length < OBJECT_PREFIX_BYTES || view.getUint32(0, true) !== OBJECT_MAGIC)
    throw new FedStreamError('bad-manifest', `${source} is not an encoded model`);
  if (view.getUint32(4, true) !== OBJECT_VERSION)
    throw new FedStreamError(
      'unsupported',
      `${source} is of version ${view.getUint32(4, true)} of the format; this side reads ${OBJECT_VERSION}`,
    );
  const manifestBytes = view.getBigUint64(8, true);
  if (manifestBytes > BigInt(MAX_MANIFEST_BYTES))
    throw new FedStreamError('limit', `${source} claims a manifest of ${manifestBytes} bytes; at most ${MAX_MANIFEST_BYTES} are read`);
  return Number(manifestBytes);
}

/** Bytes of the whole object, without coding it: exactly, or at most if codes vary in size. */
export function objectBytes(manifest: Manifest, codecs: CodecTable): number {
  return encodeObjectHead(manifest).length + mostCodedBytes(manifest, codecs);
}

/**
 * The object of a model, coded while it is read, from any offset. An `id` promises that the model
 * gives the same bytes each time, so that a transfer that broke off can be resumed. Codes that vary
 * in size have no object before they are in a spool (`writeSpool`): `internal`.
 */
export function objectSource(model: StateDict, codecs: CodecTable, id?: string): ByteSource & { readonly totalBytes: number } {
  const head = encodeObjectHead(model.manifest);
  const layout = layoutOf(model.manifest, codecs);
  const totalBytes = head.length + layout.totalBytes;
  return {
    totalBytes,
    ...(id === undefined ? {} : { id }),
    sums: new LeafSums(),
    ...(model.stored && model.readAt
      ? { holds: true, read: (offset, kept) => leafPieces(behind(head, model.readAt as ReadAt), totalBytes, offset, kept) }
      : { read: (offset) => readObject(model, head, layout, offset) }),
  };
}

/** Reads `head`, and behind it what `read` reads. */
function behind(head: Uint8Array, read: ReadAt): ReadAt {
  return (into, position) => {
    const front = head.subarray(position, position + into.length);
    into.set(front);
    return front.length < into.length ? read(into.subarray(front.length), position + front.length - head.length) : undefined;
  };
}

async function* readObject(model: StateDict, head: Uint8Array, layout: Layout, offset: number): AsyncGenerator<Uint8Array> {
  if (offset < head.length) yield head.subarray(offset);
  const from = Math.max(offset - head.length, 0);
  let skip = 0;
  let first = layout.chunks;
  for (const place of layout.places()) {
    if (place.offset + place.bytes <= from) continue;
    first = place.index;
    skip = from - place.offset;
    break;
  }
  for await (const chunk of model.chunks({ first, end: layout.chunks })) {
    yield chunk.bytes.subarray(skip);
    skip = 0;
  }
}
