// The frames of a byte stream (docs/spec/stream.md).
import { z } from 'zod';
import { ERROR_CODES, FedStreamError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { PREFIX_BYTES } from '../frame/frame.js';
import { CHECKSUM_BYTES } from './digest.js';

const bytes = z.int().min(0);
const digest = z.string().regex(/^[0-9a-f]{32}$/);
const id = z.string().min(1).max(256);

const json: z.ZodType<Json> = z.json() as z.ZodType<Json>;

/** The opener says what it has; what is not known before it is sent is missing. */
export const openSchema = z.strictObject({ meta: json, id: id.optional(), totalBytes: bytes.optional(), digest: digest.optional() });
/** The receiver says from where, and how far the sender may go for now. */
export const acceptSchema = z.strictObject({ offset: bytes, limit: bytes });
export const creditSchema = z.strictObject({ limit: bytes });
export const endSchema = z.strictObject({ totalBytes: bytes, digest });
export const retrySchema = z.strictObject({ offset: bytes });
export const resetSchema = z.strictObject({ code: z.enum(ERROR_CODES), message: z.string().max(8192) });

/** Header of a data frame: where its payload belongs (u64), and the payload's checksum. Fixed, since it is on the hot path. */
const DATA_HEADER_BYTES = 8 + CHECKSUM_BYTES;
/** What a leaf costs beside its bytes: the length that TCP needs, the frame's prefix, the header. */
export const FRAMING_BYTES = 4 + PREFIX_BYTES + DATA_HEADER_BYTES;

export function encodeDataHeader(offset: number, checksum: Uint8Array): Uint8Array {
  const header = new Uint8Array(DATA_HEADER_BYTES);
  new DataView(header.buffer).setBigUint64(0, BigInt(offset), true);
  header.set(checksum, 8);
  return header;
}

export function decodeDataHeader(header: Uint8Array): { offset: number; checksum: Uint8Array } {
  if (header.length !== DATA_HEADER_BYTES)
    throw new FedStreamError('bad-frame', `the header of a data frame has ${header.length} bytes, not ${DATA_HEADER_BYTES}`);
  // Beyond 2^53 it is inexact, and equal to no offset that is expected.
  const offset = Number(new DataView(header.buffer, header.byteOffset).getBigUint64(0, true));
  return { offset, checksum: header.subarray(8) };
}
