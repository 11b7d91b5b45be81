// Reads and writes gRPC messages (proto/fedstream/v1/frames.proto) in an HTTP/2 stream.
import { FedStreamError } from '../../core/errors.js';
import { copyInto } from '../../driver/copy-into.js';
import type { FrameSplitter } from '../../driver/frame-splitter.js';
import { behindFront } from '../../driver/length-prefix.js';

/**
 * Each message follows a flag that says whether it is compressed, and its length as a big-endian
 * u32 (gRPC over HTTP2, "Length-Prefixed-Message").
 */
const PREFIX_BYTES = 5;
/** Field 1, length-delimited (protobuf's encoding guide). */
const TAG = 0x0a;
/** The longest varint of 32 bits. */
const VARINT_BYTES = 5;

const NO_FRAMES: readonly Uint8Array[] = [];

/** The message of a frame, behind its prefix. */
export function frameMessage(frame: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  const field = [TAG];
  let rest = bytes;
  for (; rest > 0x7f; rest >>>= 7) field.push((rest & 0x7f) | 0x80);
  field.push(rest);
  const front = new Uint8Array(PREFIX_BYTES + field.length);
  new DataView(front.buffer).setUint32(1, field.length + bytes);
  front.set(field, PREFIX_BYTES);
  return behindFront(front, frame);
}

/**
 * Cuts the bytes of a stream into messages, and the frames out of those. It is used like
 * `FrameSplitter`, which owns the memory of the frames: a frame is read straight to its final
 * place, which no gRPC library does.
 */
export class MessageSplitter {
  readonly #frames: FrameSplitter;
  readonly #head = new Uint8Array(PREFIX_BYTES + 1 + VARINT_BYTES);
  #filled = 0;
  #needed = PREFIX_BYTES;
  /** How many bytes of the frame are missing. */
  #left = 0;
  #isBroken = false;

  constructor(frames: FrameSplitter) {
    this.#frames = frames;
  }

  /** True inside a message: it has begun and not ended. */
  get isInside(): boolean {
    return this.#filled > 0;
  }

  /**
   * Memory for the next bytes, with room for at least one. After a fault there is room too, but
   * those bytes are ignored.
   */
  room(): Uint8Array {
    if (this.#isBroken) return this.#head;
    if (this.#left > 0) return this.#frames.room().subarray(0, this.#left);
    return this.#head.subarray(this.#filled, this.#needed);
  }

  /**
   * So many bytes were put into `room()`. Returns the frames that are complete now; throws `limit`,
   * `bad-frame` or `unsupported`.
   */
  filled(bytes: number): readonly Uint8Array[] {
    if (this.#isBroken) return NO_FRAMES;
    if (this.#left === 0) {
      this.#filled += bytes;
      if (this.#filled === this.#needed) this.#takeHeadOrBreak();
      return NO_FRAMES;
    }
    this.#left -= bytes;
    if (this.#left === 0) this.#next();
    return this.#frames.filled(bytes);
  }

  /** Copies bytes to their places. */
  push(bytes: Uint8Array): readonly Uint8Array[] {
    return copyInto(this, bytes);
  }

  #next(): void {
    this.#filled = 0;
    this.#needed = PREFIX_BYTES;
  }

  #takeHeadOrBreak(): void {
    try {
      this.#takeHead();
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  #takeHead(): void {
    const head = this.#head;
    const message = new DataView(head.buffer).getUint32(1);
    if (head[0] !== 0) throw new FedStreamError('unsupported', 'a gRPC message is compressed; frames are not');
    if (message < 3) throw notAFrame(message);
    const last = this.#filled - 1;
    if (last < PREFIX_BYTES + 1) this.#needed = PREFIX_BYTES + 2;
    else if ((head[last] as number) > 0x7f && this.#needed < head.length) this.#needed++;
    else this.#begin(message);
  }

  #begin(message: number): void {
    const field = this.#head.subarray(PREFIX_BYTES, this.#filled);
    const frame = field.subarray(1).reduce((length, digit, i) => length + (digit & 0x7f) * 2 ** (7 * i), 0);
    if (field[0] !== TAG || frame === 0 || field.length + frame !== message) throw notAFrame(message);
    this.#frames.begin(frame);
    this.#left = frame;
  }
}

function notAFrame(bytes: number): FedStreamError {
  return new FedStreamError('bad-frame', `a gRPC message of ${bytes} bytes is not a frame (proto/fedstream/v1/frames.proto)`);
}
