// Cuts a byte stream into frames, each behind its length as a little-endian u32.
import { FedStreamError } from '../core/errors.js';

const LENGTH_BYTES = 4;
/** Pieces below this are gathered: kept alone, each byte of a peer that sends them singly would cost hundreds. */
const SMALL_BYTES = 4 * 1024;
const GATHER_BYTES = 64 * 1024;

/** Keeps the pieces of a frame as they come and joins them once; memory grows with what has arrived, never with what was declared. */
export class FrameSplitter {
  readonly #maxFrameBytes: number;
  #pieces: Uint8Array[] = [];
  #pendingBytes = 0;
  /** The last piece lies at the front of this buffer, where it is ours to append to. */
  #gather: Uint8Array | undefined;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Bytes that wait for the rest of their frame. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Throws `limit` as soon as a length above the limit is seen. The frames may be views of `bytes`. */
  push(bytes: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    this.#append(bytes);
    for (;;) {
      if (this.#pendingBytes < LENGTH_BYTES) return frames;
      const length = this.#peekLength();
      if (length === 0 || length > this.#maxFrameBytes) {
        throw new FedStreamError(
          'limit',
          `a frame of ${length} bytes was announced; at most ${this.#maxFrameBytes} are taken (is the other side FedStream?)`,
        );
      }
      if (this.#pendingBytes < LENGTH_BYTES + length) return frames;
      frames.push(this.#take(LENGTH_BYTES + length).subarray(LENGTH_BYTES));
    }
  }

  #append(bytes: Uint8Array): void {
    const pending = this.#pendingBytes;
    this.#pendingBytes += bytes.length;
    const last = this.#pieces.at(-1);
    if (pending === 0 || bytes.length >= SMALL_BYTES || !last) {
      this.#gather = undefined;
      this.#pieces.push(bytes);
    } else if (this.#gather && last.length + bytes.length <= this.#gather.length) {
      this.#gather.set(bytes, last.length);
      this.#pieces[this.#pieces.length - 1] = this.#gather.subarray(0, last.length + bytes.length);
    } else {
      this.#gather = new Uint8Array(GATHER_BYTES);
      this.#gather.set(bytes);
      this.#pieces.push(this.#gather.subarray(0, bytes.length));
    }
  }

  #peekLength(): number {
    let first = this.#pieces[0] as Uint8Array;
    if (first.length < LENGTH_BYTES) {
      first = join(this.#pieces, this.#pendingBytes);
      this.#pieces = [first];
      this.#gather = undefined;
    }
    return new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getUint32(0, true);
  }

  #take(length: number): Uint8Array {
    const first = this.#pieces[0] as Uint8Array;
    this.#pendingBytes -= length;
    this.#gather = undefined;
    if (first.length > length) {
      this.#pieces[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    const whole = this.#pieces.length === 1 ? first : join(this.#pieces, length + this.#pendingBytes);
    this.#pieces = whole.length > length ? [whole.subarray(length)] : [];
    return whole.subarray(0, length);
  }
}

function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
