// Small structured values as msgpack, with limits on everything that a peer could declare.
import { Decoder, encode } from '@msgpack/msgpack';
import type { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import { checkMsgpack } from './msgpack-check.js';

/** Limits of one value inside a message; the frame limits the whole message. */
const LIMITS = { maxStrLength: 2 ** 20, maxBinLength: 2 ** 20, maxArrayLength: 2 ** 16, maxMapLength: 2 ** 12, maxExtLength: 0 } as const;

/** Decodes and validates the header of a control frame, as `unpack` does. */
export function unpackHeader<T>(header: Uint8Array, schema: z.ZodType<T>, what: string): T {
  return unpack(header, schema, what, BUDGETS.headerItems.limit);
}

/** Encodes a value as msgpack. */
export function pack(value: unknown): Uint8Array {
  return encode(value, { ignoreUndefined: true, forceFloat32: false });
}

/**
 * Decodes a value of at most `maxItems` items that its reader checks; by default, as many as a
 * message may have. Throws `bad-frame` with `what` it was.
 */
export function unpackValue(bytes: Uint8Array, what: string, maxItems: number = BUDGETS.messageItems.limit): unknown {
  checkMsgpack(bytes, what, maxItems);
  try {
    return new Decoder(LIMITS).decode(bytes);
  } catch (cause) {
    throw new FedStreamError('bad-frame', `${what} cannot be decoded: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Decodes and validates a value of at most `maxItems` items, as `unpackValue` does. Throws
 * `bad-frame` with `what` it was and where it is wrong.
 */
export function unpack<T>(bytes: Uint8Array, schema: z.ZodType<T>, what: string, maxItems?: number): T {
  const value = unpackValue(bytes, what, maxItems);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = innermost(parsed.error.issues[0] as z.core.$ZodIssue);
  throw new FedStreamError('bad-frame', `${what} is wrong at ${path.join('.') || 'its root'}: ${message}`);
}

/** The fault of a value that is one of several kinds: that of the kind which it fits the farthest. */
function innermost(issue: z.core.$ZodIssue): { readonly path: readonly PropertyKey[]; readonly message: string } {
  if (issue.code !== 'invalid_union') return issue;
  const kinds = issue.errors.flatMap(([first, ...more]) => (first ? [{ ...innermost(first), faults: 1 + more.length }] : []));
  const [farthest] = kinds.sort((a, b) => b.path.length - a.path.length || a.faults - b.faults);
  return farthest ? { path: [...issue.path, ...farthest.path], message: farthest.message } : issue;
}
