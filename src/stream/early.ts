// Early bytes, sent before their stream is accepted (docs/spec/stream.md, "Early").
import type { Frame } from '../frame/frame.js';
import { MIN_CHUNK_BYTES } from './stream-frames.js';

/**
 * How much of the next stream its receiver takes before it has accepted it: it says so when it
 * confirms a stream. This saves a round trip for each stream of a session but the first.
 */
export interface Early {
  readonly limit: number;
  readonly chunk: number;
}

/** The sender's side: remembers what the receiver allows, until a stream uses it. */
export class EarlyAllowance {
  #allowed: Early | undefined;

  allow(early: Early): void {
    this.#allowed = early;
  }

  /**
   * Takes the allowance for an object of `totalBytes`. Returns how many bytes may go out early
   * (from byte 0, in whole chunks unless it is the whole object) and the chunk size; undefined if
   * none may.
   */
  take(totalBytes: number | undefined): { readonly bytes: number; readonly chunk: number } | undefined {
    if (!this.#allowed || !totalBytes) return undefined;
    const { limit, chunk } = this.#allowed;
    const bytes = Math.min(Math.floor(limit / chunk) * chunk, totalBytes);
    if (bytes === 0) return undefined;
    this.#allowed = undefined;
    return { bytes, chunk };
  }
}

/**
 * The receiver's side: the frames that arrived before their stream was accepted, and which of them
 * to drop.
 */
export class EarlyFrames {
  /** How many bytes the sender announced in its open frame. */
  readonly bytes: number;
  readonly #held: Frame[] = [];
  #heldBytes = 0;
  #heldEnd = false;
  #unwantedBytes = 0;
  #unwantedEnd = false;

  constructor(bytes = 0) {
    this.bytes = bytes;
  }

  /** Keeps a frame until the stream is accepted; false if the frame breaks the rules. */
  hold(frame: Frame): boolean {
    const { type, payload } = frame;
    this.#heldBytes += payload.length;
    const fits = type === 'data' ? payload.length > 0 && this.#heldBytes <= this.bytes : this.#heldBytes === this.bytes && !this.#heldEnd;
    // A frame costs more than its bytes, so their number is bounded too: no allowed chunk but the
    // last is smaller than the minimum.
    const few = this.#held.length <= this.bytes / MIN_CHUNK_BYTES + 1;
    if (this.bytes === 0 || !fits || !few) return false;
    this.#heldEnd = type === 'end';
    this.#held.push(frame);
    return true;
  }

  /**
   * Returns the frames that have arrived. If the receiver goes on from an offset other than 0, all
   * announced bytes are unwanted, whether they have arrived or not.
   */
  takeHeld(offset: number, totalBytes: number | undefined): Frame[] {
    if (offset > 0) {
      this.#unwantedBytes = this.bytes;
      this.#unwantedEnd = this.bytes > 0 && this.bytes === totalBytes && offset < totalBytes;
    }
    return this.#held.splice(0);
  }

  /**
   * True if this frame is to be dropped. After the announced bytes the sender goes on from the
   * receiver's offset.
   */
  unwanted(frame: Frame): boolean {
    if (frame.type === 'end') return this.#unwantedEnd;
    if (this.#unwantedBytes === 0) {
      // From the first wanted chunk on, an end frame is the end of the whole stream.
      this.#unwantedEnd = false;
      return false;
    }
    this.#unwantedBytes = Math.max(this.#unwantedBytes - frame.payload.length, 0);
    return true;
  }

  /** Releases the frames that are held; nobody wants them any more. */
  drop(): void {
    for (const frame of this.#held.splice(0)) frame.release();
  }
}
