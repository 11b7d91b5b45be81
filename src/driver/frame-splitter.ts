// Splits a byte stream into frames, each behind its length as a little-endian u32.
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import { putUint32, uint32At } from '../core/uint64.js';
import { copyInto } from './copy-into.js';
import { FrameMemory } from './frame-memory.js';
import { LENGTH_BYTES } from './length-prefix.js';

/**
 * Sizes of the buffer for lengths and small frames; it grows with the bytes that a peer really
 * sends.
 */
const FIRST_ROOM_BYTES = 4 * 1024;
const ROOM_BYTES = 64 * 1024;
/**
 * The most bytes of a large frame in one read. A longer read could fill a whole frame and push its
 * beginning out of the cache before it is hashed, which happens as it comes. Over TCP 128 KiB are 6
 * % slower, a whole frame a ninth (measured).
 */
const READ_BYTES = 64 * 1024;

/** Bytes that may come after reading was to stop: a read may be under way. */
const MAX_HELD_BYTES = BUDGETS.heldBytes.limit;

/** Returned by most reads, which end no frame. */
const NO_FRAMES: readonly Uint8Array[] = [];

/** Told how many bytes of a large frame are here, and how many there were before. */
export type FilledListener = (frame: Uint8Array, filledBytes: number, beforeBytes: number) => void;

/**
 * Splits bytes into frames. It says where the next bytes belong (`room`), so that a socket reads
 * large frames straight to their final place. Memory grows with the bytes that have come, never
 * with the length that was declared: a large frame gets a buffer of its own, or the released one of
 * an earlier frame, once 64 KiB of it are here.
 */
export class FrameSplitter {
  readonly #maxFrameBytes: number;
  readonly #memory: FrameMemory;
  readonly #onFilled: FilledListener;
  readonly #readBytes: number;
  #gather = new Uint8Array(0);
  #gathered = 0;
  /** The first byte in `#gather` that was not cut out: other than 0 only after `readOn`. */
  #from = 0;
  #large: Uint8Array | undefined;
  #largeFilled = 0;
  /**
   * Memory for a frame like the last large one, and the length before it: in a stream of such
   * frames, the next is most likely another.
   */
  #ahead: Uint8Array | undefined;
  #lastLarge = 0;
  /** The most bytes of the one frame that is cut out until `readOn`: 0 after it, or if there is none. */
  #one: number | undefined;
  #dropping = false;

  /**
   * Takes `onFilled`, which is called as large frames fill, and `readBytes`, the most bytes of one
   * that are read at a time.
   */
  constructor(maxFrameBytes: number, memory = new FrameMemory(), onFilled: FilledListener = () => {}, readBytes = READ_BYTES) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#memory = memory;
    this.#onFilled = onFilled;
    this.#readBytes = readBytes;
  }

  /** The longest frame that is taken now, in bytes. */
  get maxBytes(): number {
    return this.#one || this.#maxFrameBytes;
  }

  /** True while no frame is cut out, and no more bytes should come. */
  get holds(): boolean {
    return this.#one === 0;
  }

  /**
   * Cuts out one more frame, of at most so many bytes (none for 0), and then none until it is called
   * again, or `readOn`. Returns that frame if it is complete already; throws as `filled` does.
   */
  readOne(maxBytes: number): readonly Uint8Array[] {
    this.#one = maxBytes;
    return maxBytes > 0 ? this.#cut(true) : NO_FRAMES;
  }

  /** Ends that limit; returns the frames that are complete already, and throws as `filled` does. */
  readOn(): readonly Uint8Array[] {
    if (this.#one === undefined) return NO_FRAMES;
    this.#one = undefined;
    return this.#cut(true);
  }

  /** Ignores all bytes from now on. */
  drop(): void {
    this.#dropping = true;
  }

  /** The number of bytes that wait for the rest of their frame. */
  get pendingBytes(): number {
    if (this.#dropping) return 0;
    return this.#large ? this.#largeFilled : this.#gathered - this.#from;
  }

  /** Memory for the next bytes, with room for at least one. */
  room(): Uint8Array {
    if (this.#large) return this.#large.subarray(this.#largeFilled, this.#largeFilled + this.#readBytes);
    if (this.#gathered === 0 && this.#lastLarge > 0) this.#ahead ??= this.#memory.reuse(this.#lastLarge, LENGTH_BYTES);
    if (this.#ahead) return this.#ahead.subarray(0, this.#readBytes);
    if (this.#gathered === this.#gather.length) this.#growGather();
    return this.#gather.subarray(this.#gathered);
  }

  /**
   * So many bytes were put into `room()`. Returns the frames that are complete now; throws `limit`
   * as soon as a length above the limit is seen.
   */
  filled(bytes: number): readonly Uint8Array[] {
    if (this.#dropping) return NO_FRAMES;
    if (this.#ahead) return this.#filledAhead(this.#ahead, bytes);
    if (this.#large) return this.#filledLarge(this.#large, bytes);
    this.#gathered += bytes;
    if (this.#one === 0 && this.#gathered > MAX_HELD_BYTES)
      throw new FedStreamError('limit', `more than ${MAX_HELD_BYTES} bytes came before the other side was let in`);
    return this.#cut();
  }

  /** Begins a frame of so many bytes, whose length came in another way than before it. */
  begin(bytes: number): void {
    const length = new Uint8Array(LENGTH_BYTES);
    putUint32(length, 0, bytes);
    this.push(length);
  }

  /** Copies bytes to their places; returns and throws as `filled` does. */
  push(bytes: Uint8Array): readonly Uint8Array[] {
    return copyInto(this, bytes);
  }

  #filledLarge(large: Uint8Array, bytes: number): readonly Uint8Array[] {
    const before = this.#largeFilled;
    this.#largeFilled += bytes;
    this.#onFilled(large, this.#largeFilled, before);
    if (this.#largeFilled < large.length) return NO_FRAMES;
    this.#large = undefined;
    this.#lastLarge = large.length;
    return [large];
  }

  /**
   * Takes a read into `#ahead`. If it was not the expected frame, its bytes are copied, and no
   * large frame is expected any more.
   */
  #filledAhead(ahead: Uint8Array, bytes: number): readonly Uint8Array[] {
    this.#ahead = undefined;
    const frame = ahead.subarray(LENGTH_BYTES);
    if (bytes >= LENGTH_BYTES && uint32At(ahead, 0) === frame.length) {
      this.#large = frame;
      this.#largeFilled = 0;
      return this.#filledLarge(frame, bytes - LENGTH_BYTES);
    }
    this.#lastLarge = 0;
    try {
      return this.push(ahead.subarray(0, bytes));
    } finally {
      this.#memory.giveBack(frame);
    }
  }

  /** With `inPlace` no byte is moved: the memory behind them was given out for the next read. */
  #cut(inPlace = false): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let at = this.#from;
    while (this.#one !== 0 && this.#gathered - at >= LENGTH_BYTES) {
      const length = this.#lengthAt(at);
      const start = at + LENGTH_BYTES;
      const here = Math.min(this.#gathered - start, length);
      if (here === length) {
        frames.push(this.#gather.slice(start, start + length));
        if (this.#one !== undefined) this.#one = 0;
      } else if (inPlace || at > 0 || this.#gathered < ROOM_BYTES) break;
      else {
        this.#large = this.#memory.take(length);
        this.#large.set(this.#gather.subarray(start, start + here));
        this.#largeFilled = here;
        this.#onFilled(this.#large, here, 0);
      }
      at = start + here;
    }
    this.#from = at;
    if (!inPlace) this.#compact();
    return frames;
  }

  #compact(): void {
    this.#gather.copyWithin(0, this.#from, this.#gathered);
    this.#gathered -= this.#from;
    this.#from = 0;
  }

  #lengthAt(at: number): number {
    const length = uint32At(this.#gather, at);
    if (length > 0 && length <= this.maxBytes) return length;
    throw new FedStreamError(
      'limit',
      `a frame of ${length} bytes was announced; at most ${this.maxBytes} are taken (is the other side FedStream?)`,
    );
  }

  #growGather(): void {
    const grown = new Uint8Array(Math.max(FIRST_ROOM_BYTES, 2 * this.#gather.length));
    grown.set(this.#gather);
    this.#gather = grown;
  }
}
