// The messages of proto/fedstream/v1/frames.proto by hand: a generated decoder would copy each model once more.
import { FedStreamError } from '../../core/errors.js';

/** `/package.Service/Method`. */
export const CONNECT_METHOD = '/fedstream.v1.Frames/Connect';

/** Field 1, length-delimited (protobuf's encoding guide). */
const TAG = 0x0a;
/** A tag and a varint of 32 bits. */
export const FIELD_BYTES = 6;

/** A frame that goes out. */
export interface OutgoingFrame {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

export function encodeFrameMessage({ parts, bytes }: OutgoingFrame): Buffer {
  const front = [TAG];
  let rest = bytes;
  for (; rest > 0x7f; rest >>>= 7) front.push((rest & 0x7f) | 0x80);
  front.push(rest);
  return Buffer.concat([Uint8Array.from(front), ...parts], front.length + bytes);
}

/** A view; `bad-frame` unless it is one field of one byte at least, and nothing else. */
export function decodeFrameMessage(message: Buffer): Uint8Array {
  let length = 0;
  let at = 1;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = message[at++] ?? 0;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  if (message[0] === TAG && length > 0 && at + length === message.length)
    return new Uint8Array(message.buffer, message.byteOffset + at, length);
  throw new FedStreamError('bad-frame', `a gRPC message of ${message.length} bytes is no frame (proto/fedstream/v1/frames.proto)`);
}
