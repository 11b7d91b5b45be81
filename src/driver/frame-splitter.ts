// Cuts a byte stream into frames, each behind its length as a little-endian u32.
import { FedStreamError } from '../core/errors.js';
import { FrameMemory } from './frame-memory.js';

const LENGTH_BYTES = 4;
/** Lengths and small frames are gathered here; it grows with what a peer really sends. */
const FIRST_ROOM_BYTES = 4 * 1024;
const ROOM_BYTES = 64 * 1024;

/**
 * Says where the next bytes belong (`room`), so that a socket reads large frames to where they stay, without a copy. Memory grows with what has
 * arrived, never with what was declared: a large frame gets a buffer of its own once 64 KiB of it are here.
 */
export class FrameSplitter {
  readonly #maxFrameBytes: number;
  readonly #memory: FrameMemory;
  #gather = new Uint8Array(0);
  #gathered = 0;
  #large: Uint8Array | undefined;
  #largeFilled = 0;

  constructor(maxFrameBytes: number, memory = new FrameMemory()) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#memory = memory;
  }

  /** Bytes that wait for the rest of their frame. */
  get pendingBytes(): number {
    return this.#large ? this.#largeFilled : this.#gathered;
  }

  /** Where the next bytes go: at least one. */
  room(): Uint8Array {
    if (this.#large) return this.#large.subarray(this.#largeFilled);
    if (this.#gathered === this.#gather.length) this.#growGather();
    return this.#gather.subarray(this.#gathered);
  }

  /** So many bytes were put into `room()`. Returns the frames that are whole now; throws `limit` as soon as a length above the limit is seen. */
  filled(bytes: number): Uint8Array[] {
    if (this.#large) {
      this.#largeFilled += bytes;
      if (this.#largeFilled < this.#large.length) return [];
      const frame = this.#large;
      this.#large = undefined;
      return [frame];
    }
    this.#gathered += bytes;
    return this.#cut();
  }

  /** Copies bytes to where they belong. */
  push(bytes: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const room = this.room();
      const part = bytes.subarray(at, at + room.length);
      room.set(part);
      at += part.length;
      frames.push(...this.filled(part.length));
    }
    return frames;
  }

  #cut(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let at = 0;
    while (this.#gathered - at >= LENGTH_BYTES) {
      const length = this.#lengthAt(at);
      const start = at + LENGTH_BYTES;
      const here = Math.min(this.#gathered - start, length);
      if (here === length) frames.push(this.#gather.slice(start, start + length));
      else if (at > 0 || this.#gathered < ROOM_BYTES) break;
      else {
        this.#large = this.#memory.take(length);
        this.#large.set(this.#gather.subarray(start, start + here));
        this.#largeFilled = here;
      }
      at = start + here;
    }
    this.#gather.copyWithin(0, at, this.#gathered);
    this.#gathered -= at;
    return frames;
  }

  #lengthAt(at: number): number {
    const length = new DataView(this.#gather.buffer, this.#gather.byteOffset + at, LENGTH_BYTES).getUint32(0, true);
    if (length > 0 && length <= this.#maxFrameBytes) return length;
    throw new FedStreamError(
      'limit',
      `a frame of ${length} bytes was announced; at most ${this.#maxFrameBytes} are taken (is the other side FedStream?)`,
    );
  }

  #growGather(): void {
    const grown = new Uint8Array(Math.max(FIRST_ROOM_BYTES, 2 * this.#gather.length));
    grown.set(this.#gather);
    this.#gather = grown;
  }
}
