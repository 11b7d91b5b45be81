// The first frame of a stripe: which connections belong together.
import { FedStreamError } from '../core/errors.js';

export const MAX_STRIPES = 16;

/** `FSS1`, then the group, then index and count, a byte each. No frame of a session begins so. */
const MAGIC = Uint8Array.of(0x46, 0x53, 0x53, 0x31);
const GROUP_BYTES = 16;
export const JOIN_BYTES = MAGIC.length + GROUP_BYTES + 2;

export interface StripeJoin {
  /** 16 random bytes: who knows them belongs to it. */
  readonly group: Uint8Array;
  readonly index: number;
  readonly count: number;
}

export function encodeJoin({ group, index, count }: StripeJoin): Uint8Array {
  return Uint8Array.of(...MAGIC, ...group, index, count);
}

/** Undefined where the frame is no join; `bad-frame` where it is one that cannot be. */
export function decodeJoin(frame: Uint8Array): StripeJoin | undefined {
  if (frame.length < MAGIC.length || MAGIC.some((byte, i) => frame[i] !== byte)) return undefined;
  const [index = 0, count = 0] = frame.subarray(JOIN_BYTES - 2);
  if (frame.length !== JOIN_BYTES || count < 2 || count > MAX_STRIPES || index >= count)
    throw new FedStreamError('bad-frame', `stripe ${index} of ${count} cannot be`);
  return { group: frame.slice(MAGIC.length, MAGIC.length + GROUP_BYTES), index, count };
}
