// The messages of proto/fedstream/v1/frames.proto by hand: a generated decoder would copy each model once more.
import { FedStreamError } from '../../core/errors.js';
import { FrameMemory } from '../../driver/frame-memory.js';

/** `/package.Service/Method`. */
export const CONNECT_METHOD = '/fedstream.v1.Frames/Connect';

/** Field 1, length-delimited (protobuf's encoding guide). */
const TAG = 0x0a;
/** A tag and a varint of 32 bits. */
export const FIELD_BYTES = 6;

/** The message of a frame, in memory that is used again once it was given back. */
export function encodeFrameMessage(parts: readonly Uint8Array[], bytes: number, memory: FrameMemory): Buffer {
  const front = [TAG];
  let rest = bytes;
  for (; rest > 0x7f; rest >>>= 7) front.push((rest & 0x7f) | 0x80);
  front.push(rest);
  const message = memory.take(front.length + bytes);
  message.set(front);
  let at = front.length;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return Buffer.from(message.buffer, message.byteOffset, message.byteLength);
}

/** What the library calls for a message that is encoded already. */
export function asItIs(message: Buffer): Buffer {
  return message;
}

interface Writable {
  write(message: Buffer, flushed: (error?: Error | null) => void): unknown;
}

/** Writes frames to a call; counts what is not flushed. */
export class FrameCall {
  pendingBytes = 0;
  readonly #call: Writable;
  readonly #memory = new FrameMemory();

  constructor(call: Writable) {
    this.#call = call;
  }

  send(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    const message = encodeFrameMessage(parts, bytes, this.#memory);
    this.pendingBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#call.write(message, (error) => {
        this.pendingBytes -= bytes;
        this.#memory.giveBack(message);
        if (error) reject(error);
        else resolve();
      });
    });
  }
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
