// Small structured values as msgpack, with limits on everything that a peer could declare.
import { Decoder, encode } from '@msgpack/msgpack';
import type { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { checkMsgpack } from './msgpack-check.js';

/** Limits of one value inside a message; the frame limits the whole message. */
const LIMITS = { maxStrLength: 2 ** 20, maxBinLength: 2 ** 20, maxArrayLength: 2 ** 16, maxMapLength: 2 ** 12, maxExtLength: 0 } as const;

/** Encodes a value as msgpack. */
export function pack(value: unknown): Uint8Array {
  return encode(value, { ignoreUndefined: true, forceFloat32: false });
}

/** Decodes a value that its reader checks; throws `bad-frame` with `what` it was. */
export function unpackValue(bytes: Uint8Array, what: string): unknown {
  checkMsgpack(bytes, what);
  try {
    return new Decoder(LIMITS).decode(bytes);
  } catch (cause) {
    throw new FedStreamError('bad-frame', `${what} cannot be decoded: ${(cause as Error).message}`, { cause });
  }
}

/** Decodes and validates a value; throws `bad-frame` with `what` it was and where it is wrong. */
export function unpack<T>(bytes: Uint8Array, schema: z.ZodType<T>, what: string): T {
  const value = unpackValue(bytes, what);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  throw new FedStreamError('bad-frame', `${what} is wrong at ${issue.path.join('.') || 'its root'}: ${issue.message}`);
}
