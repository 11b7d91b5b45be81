// The SFM frame: a fixed prefix, a small header, a payload (docs/spec/frame.md).
import { FedStreamError } from '../core/errors.js';
import { putUint32, putUint64, uint32At, uint64At } from '../core/uint64.js';
import { crc16, crc16Without } from './crc16.js';

/** The first bytes of a frame: `FSM1`, little-endian. */
export const FRAME_MAGIC = 0x314d5346;
/** Bytes of the prefix. */
export const PREFIX_BYTES = 24;
/** Position in the prefix of the check, which has two bytes. */
const CHECK_AT = 6;
/** The most bytes of a header: headers hold names and numbers, never tensors. */
export const MAX_FRAME_HEADER_BYTES = 64 * 1024;

/** Types of frames; the numbers are on the wire. */
export const FRAME_TYPES = {
  hello: 1,
  ping: 2,
  pong: 3,
  bye: 4,
  request: 5,
  reply: 6,
  open: 7,
  accept: 8,
  data: 9,
  credit: 10,
  end: 11,
  done: 12,
  retry: 13,
  /** From the opener of a stream: it cannot be sent to its end. */
  reset: 14,
  /** From the receiver of a stream: it is refused, or not taken to its end. */
  refuse: 15,
  /** Of the session, behind hello: a proof that this side knows the token. */
  proof: 16,
} as const;

/** The name of a frame's type. */
export type FrameType = keyof typeof FRAME_TYPES;

const TYPE_NAMES = new Map<number, FrameType>(Object.entries(FRAME_TYPES).map(([name, code]) => [code, name as FrameType]));

/** A frame that was decoded; header and payload lie in the memory that it arrived in. */
export interface Frame {
  readonly type: FrameType;
  /** The stream or request that the frame belongs to; 0 for the session itself. */
  readonly stream: number;
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  /**
   * Gives the memory of header and payload back, to be used again; call it once they are no longer
   * needed. A frame that is never released costs memory, and nothing else.
   */
  release(): void;
}

const EMPTY = new Uint8Array(0);

/**
 * Encodes a frame: prefix and header in one part, then the parts of the payload, which are not
 * copied. Throws `limit` if the header is too large.
 */
export function encodeFrame(type: FrameType, stream: number, header: Uint8Array = EMPTY, ...payload: readonly Uint8Array[]): Uint8Array[] {
  if (header.length > MAX_FRAME_HEADER_BYTES)
    throw new FedStreamError('limit', `a frame header of ${header.length} bytes; at most ${MAX_FRAME_HEADER_BYTES} go out`);
  const front = new Uint8Array(PREFIX_BYTES + header.length);
  putUint32(front, 0, FRAME_MAGIC);
  front[4] = FRAME_TYPES[type];
  putUint32(front, 8, stream);
  putUint32(front, 12, header.length);
  putUint64(
    front,
    16,
    payload.reduce((sum, part) => sum + part.length, 0),
  );
  front.set(header, PREFIX_BYTES);
  const check = checkOf(front, type, payload);
  front[CHECK_AT] = check;
  front[CHECK_AT + 1] = check >>> 8;
  return [front, ...payload.filter((part) => part.length > 0)];
}

/**
 * The check covers prefix and header, as if the check itself were zero: a frame that is damaged
 * there would go to the wrong stream, or to none. It covers the payload too, except that of `data`,
 * which has checksums of its own and is asked for again alone.
 */
function checkOf(front: Uint8Array, type: FrameType, payload: readonly Uint8Array[]): number {
  const check = crc16Without(front, CHECK_AT);
  return type === 'data' ? check : payload.reduce((sum, part) => crc16(part, sum), check);
}

/**
 * The position of the payload in a data frame whose first bytes are given; undefined for another
 * frame, or too few bytes. Nothing is verified.
 */
export function dataPayloadStart(bytes: Uint8Array): number | undefined {
  if (bytes.length < PREFIX_BYTES || uint32At(bytes, 0) !== FRAME_MAGIC || bytes[4] !== FRAME_TYPES.data) return undefined;
  return PREFIX_BYTES + uint32At(bytes, 12);
}

/**
 * Decodes a frame into views of the bytes, without copying; `bad-frame` unless every length fits
 * exactly and the check is right.
 */
export function decodeFrame(bytes: Uint8Array, release: () => void = () => {}): Frame {
  if (bytes.length < PREFIX_BYTES) throw new FedStreamError('bad-frame', `a frame of ${bytes.length} bytes is shorter than its prefix`);
  if (uint32At(bytes, 0) !== FRAME_MAGIC) throw new FedStreamError('bad-frame', 'the bytes do not begin as a FedStream frame');
  const type = TYPE_NAMES.get(bytes[4] as number);
  if (!type || bytes[5] !== 0) throw new FedStreamError('bad-frame', `frame type ${bytes[4]} or its flags are unknown`);
  const headerBytes = uint32At(bytes, 12);
  const payloadBytes = uint64At(bytes, 16);
  if (headerBytes > MAX_FRAME_HEADER_BYTES || bytes.length !== PREFIX_BYTES + headerBytes + payloadBytes) {
    throw new FedStreamError(
      'bad-frame',
      `a ${type} frame of ${bytes.length} bytes claims ${headerBytes} + ${payloadBytes} behind its prefix`,
    );
  }
  const payloadStart = PREFIX_BYTES + headerBytes;
  const check = (bytes[CHECK_AT] as number) | ((bytes[CHECK_AT + 1] as number) << 8);
  if (checkOf(bytes.subarray(0, payloadStart), type, [bytes.subarray(payloadStart)]) !== check)
    throw new FedStreamError('bad-frame', `a ${type} frame was damaged on its way`);
  return {
    type,
    stream: uint32At(bytes, 8),
    header: bytes.subarray(PREFIX_BYTES, payloadStart),
    payload: bytes.subarray(payloadStart),
    release,
  };
}
