// The first frame of a stripe, which says which connections belong together.
import { FedStreamError } from '../core/errors.js';

/** The most stripes of one connection. */
export const MAX_STRIPES = 16;

/**
 * `FSS1`, followed by the group, the index and the count (a byte each). No frame of a session
 * begins like this.
 */
const MAGIC = Uint8Array.of(0x46, 0x53, 0x53, 0x31);
const GROUP_BYTES = 16;
/** The length of the frame. */
export const JOIN_BYTES = MAGIC.length + GROUP_BYTES + 2;

/** The place of a stripe in its group. */
export interface StripeJoin {
  /** 16 random bytes: a peer that knows them belongs to the group. */
  readonly group: Uint8Array;
  readonly index: number;
  readonly count: number;
}

/** The frame for this place. */
export function encodeJoin({ group, index, count }: StripeJoin): Uint8Array {
  return Uint8Array.of(...MAGIC, ...group, index, count);
}

/** Reads a first frame: undefined if it is not a join; throws `bad-frame` for an invalid one. */
export function decodeJoin(frame: Uint8Array): StripeJoin | undefined {
  if (frame.length < MAGIC.length || MAGIC.some((byte, i) => frame[i] !== byte)) return undefined;
  const [index = 0, count = 0] = frame.subarray(JOIN_BYTES - 2);
  if (frame.length !== JOIN_BYTES || count < 2 || count > MAX_STRIPES || index >= count)
    throw new FedStreamError('bad-frame', `there cannot be a stripe ${index} of ${count}`);
  return { group: frame.slice(MAGIC.length, MAGIC.length + GROUP_BYTES), index, count };
}
