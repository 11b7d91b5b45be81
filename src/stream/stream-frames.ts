// The frames of a byte stream (docs/spec/stream.md).
import { z } from 'zod';
import { ERROR_CODES, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { putUint64, uint64At } from '../core/uint64.js';
import { PREFIX_BYTES } from '../frame/frame.js';
import { CHECKSUM_BYTES } from './digest.js';
import { LEAF_BYTES } from './leaf-sums.js';

const bytes = z.int().min(0);
const digest = z.string().regex(/^[0-9a-f]{32}$/);
const id = z.string().min(1).max(256);

/**
 * Limits of a data frame's payload: a small one does not make control wait for long, a large one
 * does not keep a fast path busy with frames.
 */
export const MIN_CHUNK_BYTES = 16 * 1024;
/** The most bytes of a payload. */
export const MAX_CHUNK_BYTES = 4 * LEAF_BYTES;
/** A power of two, so that chunks are parts of a leaf, or whole leaves. */
const chunk = z
  .int()
  .min(MIN_CHUNK_BYTES)
  .max(MAX_CHUNK_BYTES)
  .refine((size) => Number.isInteger(Math.log2(size)), 'is not a power of two');

const json: z.ZodType<Json> = z.json() as z.ZodType<Json>;

/** The opener's description of its object; fields that are not known before sending are missing. */
export const openSchema = z.strictObject({
  meta: json,
  id: id.optional(),
  totalBytes: bytes.optional(),
  digest: digest.optional(),
  /** Bytes that follow at once. */
  early: bytes.min(1).optional(),
});
/**
 * The receiver's answer: the offset to start from, the limit of the sender for now, and the chunk
 * size.
 */
export const acceptSchema = z.strictObject({ offset: bytes, limit: bytes, chunk });
/** The receiver raises the limit, or changes the chunk size. */
export const creditSchema = z.strictObject({ limit: bytes, chunk });
/** The early bytes that the next stream may send; without a header, none are allowed. */
export const doneSchema = z.strictObject({ early: creditSchema });
/** The sender has sent everything: the size and the digest of the whole object. */
export const endSchema = z.strictObject({ totalBytes: bytes, digest });
/** The receiver asks for a damaged leaf, and all bytes behind it, again. */
export const retrySchema = z.strictObject({ offset: bytes });
/** Either side gives the stream up: the sender by `reset`, the receiver by `refuse`. */
export const resetSchema = z.strictObject({ code: z.enum(ERROR_CODES), message: z.string().max(8192) });

/**
 * The header of a data frame is the offset of its payload (u64) and the checksums of the leaves
 * that end in it. Its layout is fixed, since it is on the hot path.
 */
const OFFSET_BYTES = 8;

/**
 * Bytes that a data frame costs beside its payload: the length that TCP needs, the frame's prefix,
 * the header.
 */
export function framingBytes(leafEnds: number): number {
  return 4 + PREFIX_BYTES + OFFSET_BYTES + leafEnds * CHECKSUM_BYTES;
}

/**
 * The header of a data frame: the offset of its payload, and the checksums of the leaves that end
 * in it.
 */
export function encodeDataHeader(offset: number, sums: readonly Uint8Array[]): Uint8Array {
  const header = new Uint8Array(OFFSET_BYTES + sums.length * CHECKSUM_BYTES);
  putUint64(header, 0, offset);
  for (const [i, sum] of sums.entries()) header.set(sum, OFFSET_BYTES + i * CHECKSUM_BYTES);
  return header;
}

/** Reads the header of a data frame; throws `bad-frame` if its size is wrong. */
export function decodeDataHeader(header: Uint8Array): { offset: number; sums: Uint8Array[] } {
  const count = (header.length - OFFSET_BYTES) / CHECKSUM_BYTES;
  if (header.length < OFFSET_BYTES || !Number.isInteger(count))
    throw new FedStreamError('bad-frame', `the header of a data frame has ${header.length} bytes: no offset and checksums`);
  const sums: Uint8Array[] = [];
  // Copies, since the frame may be released before they are compared.
  for (let at = OFFSET_BYTES; at < header.length; at += CHECKSUM_BYTES) sums.push(new Uint8Array(header.subarray(at, at + CHECKSUM_BYTES)));
  // An offset beyond 2^53 is inexact, and equals none that is expected.
  return { offset: uint64At(header, 0), sums };
}
