// The messages of proto/fedstream/v1/frames.proto by hand: a generated decoder would copy each model once more.
import { FedStreamError } from '../../core/errors.js';
import { copyParts } from '../../driver/join-parts.js';

/** `/package.Service/Method`. */
export const CONNECT_METHOD = '/fedstream.v1.Frames/Connect';

/** Field 1, length-delimited (protobuf's encoding guide). */
const TAG = 0x0a;
/** A tag and a varint of 32 bits. */
export const FIELD_BYTES = 6;
/** What is in front of a frame in the memory of its message, at most: gRPC's own five bytes, and those. */
export const FRONT_BYTES = 5 + FIELD_BYTES;

/** The message of a frame. `@grpc/grpc-js` asks an encoded message for its length, and to be copied to behind gRPC's own bytes; joined before, it would be copied twice. */
export class FrameMessage implements Pick<Buffer, 'length' | 'byteLength' | 'copy'> {
  readonly length: number;
  readonly byteLength: number;
  readonly #parts: readonly Uint8Array[];

  constructor(frame: readonly Uint8Array[], bytes: number) {
    const front = [TAG];
    let rest = bytes;
    for (; rest > 0x7f; rest >>>= 7) front.push((rest & 0x7f) | 0x80);
    front.push(rest);
    this.#parts = [Uint8Array.from(front), ...frame];
    this.length = front.length + bytes;
    this.byteLength = this.length;
  }

  copy(target: Uint8Array, start = 0): number {
    return copyParts(target, this.#parts, start) - start;
  }
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

  constructor(call: Writable) {
    this.#call = call;
  }

  send(parts: readonly Uint8Array[], bytes: number): Promise<void> {
    const message = new FrameMessage(parts, bytes);
    this.pendingBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#call.write(message as unknown as Buffer, (error) => {
        this.pendingBytes -= bytes;
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
