// The SFM frame: a fixed prefix, a small header, a payload (docs/spec/frame.md).
import { FedStreamError } from '../core/errors.js';
import { crc16 } from './crc16.js';

/** `FSM1`, little-endian. */
export const FRAME_MAGIC = 0x314d5346;
export const PREFIX_BYTES = 24;
/** Headers hold names and numbers, never tensors. */
export const MAX_FRAME_HEADER_BYTES = 64 * 1024;

/** What a frame is; the numbers are on the wire. */
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
  /** From who opened the stream: it cannot be sent to its end. */
  reset: 14,
  /** From who was to receive it: no, or not to its end. */
  refuse: 15,
} as const;

export type FrameType = keyof typeof FRAME_TYPES;

const TYPE_NAMES = new Map<number, FrameType>(Object.entries(FRAME_TYPES).map(([name, code]) => [code, name as FrameType]));

export interface Frame {
  readonly type: FrameType;
  /** Which stream or request the frame belongs to; 0 for the session itself. */
  readonly stream: number;
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
  /** Whoever has taken what it needs of header and payload says so, and their memory is used again; who does not costs no more than memory. */
  release(): void;
}

const EMPTY = new Uint8Array(0);

/** Prefix and header in one part, the payload as it is in another: it is not copied. */
export function encodeFrame(type: FrameType, stream: number, header: Uint8Array = EMPTY, payload: Uint8Array = EMPTY): Uint8Array[] {
  if (header.length > MAX_FRAME_HEADER_BYTES)
    throw new FedStreamError('limit', `a frame header of ${header.length} bytes; at most ${MAX_FRAME_HEADER_BYTES} go out`);
  const front = new Uint8Array(PREFIX_BYTES + header.length);
  const view = new DataView(front.buffer);
  view.setUint32(0, FRAME_MAGIC, true);
  view.setUint8(4, FRAME_TYPES[type]);
  view.setUint32(8, stream, true);
  view.setUint32(12, header.length, true);
  view.setBigUint64(16, BigInt(payload.length), true);
  front.set(header, PREFIX_BYTES);
  view.setUint16(6, checkOf(front, type, payload), true);
  return payload.length > 0 ? [front, payload] : [front];
}

/**
 * Of prefix and header, as if the check itself were zero: a frame that was damaged there would go to the wrong place, or to none. And of the
 * payload, but for `data`, which has a checksum of its own and is asked for again alone.
 */
function checkOf(front: Uint8Array, type: FrameType, payload: Uint8Array): number {
  const copy = new Uint8Array(front); // of a Buffer, slice() would be a view
  copy[6] = 0;
  copy[7] = 0;
  const check = crc16(copy);
  return type === 'data' ? check : crc16(payload, check);
}

/** Views into the bytes, not copies; `bad-frame` unless every length fits exactly. */
export function decodeFrame(bytes: Uint8Array, release: () => void = () => {}): Frame {
  if (bytes.length < PREFIX_BYTES) throw new FedStreamError('bad-frame', `a frame of ${bytes.length} bytes is shorter than its prefix`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== FRAME_MAGIC) throw new FedStreamError('bad-frame', 'the bytes do not begin as a FedStream frame');
  const type = TYPE_NAMES.get(view.getUint8(4));
  if (!type || view.getUint8(5) !== 0) throw new FedStreamError('bad-frame', `frame type ${view.getUint8(4)} or its flags are unknown`);
  const headerBytes = view.getUint32(12, true);
  const payloadBytes = view.getBigUint64(16, true);
  if (headerBytes > MAX_FRAME_HEADER_BYTES || BigInt(bytes.length) !== BigInt(PREFIX_BYTES + headerBytes) + payloadBytes) {
    throw new FedStreamError(
      'bad-frame',
      `a ${type} frame of ${bytes.length} bytes claims ${headerBytes} + ${payloadBytes} behind its prefix`,
    );
  }
  const payloadStart = PREFIX_BYTES + headerBytes;
  if (checkOf(bytes.subarray(0, payloadStart), type, bytes.subarray(payloadStart)) !== view.getUint16(6, true))
    throw new FedStreamError('bad-frame', `a ${type} frame was damaged on its way`);
  return {
    type,
    stream: view.getUint32(8, true),
    header: bytes.subarray(PREFIX_BYTES, payloadStart),
    payload: bytes.subarray(payloadStart),
    release,
  };
}
