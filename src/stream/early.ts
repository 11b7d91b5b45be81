// What may be on its way before a stream is accepted: a round trip saved for each stream of a session but the first (docs/spec/stream.md, "Early").
import type { Frame } from '../frame/frame.js';
import { MIN_CHUNK_BYTES } from './stream-frames.js';

/** What the receiver of a stream allows the next one, when it confirms. */
export interface Early {
  readonly limit: number;
  readonly chunk: number;
}

/** On the side that sends: what the other side allows, until a stream uses it. */
export class EarlyAllowance {
  #allowed: Early | undefined;

  allow(early: Early): void {
    this.#allowed = early;
  }

  /** Bytes from the first one on, in whole chunks unless it is everything, and in chunks of which size; undefined where none may go out. */
  take(totalBytes: number | undefined): { readonly bytes: number; readonly chunk: number } | undefined {
    if (!this.#allowed || !totalBytes) return undefined;
    const { limit, chunk } = this.#allowed;
    const bytes = Math.min(Math.floor(limit / chunk) * chunk, totalBytes);
    if (bytes === 0) return undefined;
    this.#allowed = undefined;
    return { bytes, chunk };
  }
}

/** On the side that receives: the frames of a stream that came before it was accepted, and what of them is not wanted. */
export class EarlyFrames {
  /** What the sender said that it sends. */
  readonly bytes: number;
  readonly #held: Frame[] = [];
  #heldBytes = 0;
  #heldEnd = false;
  #unwantedBytes = 0;
  #unwantedEnd = false;

  constructor(bytes = 0) {
    this.bytes = bytes;
  }

  /** Keeps it for when the stream is accepted; false where it may not have come. */
  hold(frame: Frame): boolean {
    const { type, payload } = frame;
    this.#heldBytes += payload.length;
    const fits = type === 'data' ? payload.length > 0 && this.#heldBytes <= this.bytes : this.#heldBytes === this.bytes && !this.#heldEnd;
    // A frame costs more than its bytes: no chunk that was allowed is smaller, but the last.
    const few = this.#held.length <= this.bytes / MIN_CHUNK_BYTES + 1;
    if (this.bytes === 0 || !fits || !few) return false;
    this.#heldEnd = type === 'end';
    this.#held.push(frame);
    return true;
  }

  /** Those that have come. Where the receiver goes on elsewhere than at 0, all that was announced is unwanted, come or not. */
  takeHeld(offset: number, totalBytes: number | undefined): Frame[] {
    if (offset > 0) {
      this.#unwantedBytes = this.bytes;
      this.#unwantedEnd = this.bytes > 0 && this.bytes === totalBytes && offset < totalBytes;
    }
    return this.#held.splice(0);
  }

  /** Whether this one is to be dropped. Behind what was announced the sender goes on where it was told to. */
  unwanted(frame: Frame): boolean {
    if (frame.type === 'end') return this.#unwantedEnd;
    if (this.#unwantedBytes === 0) {
      // With the first chunk of what is wanted, the end that comes is that of the whole.
      this.#unwantedEnd = false;
      return false;
    }
    this.#unwantedBytes = Math.max(this.#unwantedBytes - frame.payload.length, 0);
    return true;
  }

  /** Nobody wants them any more. */
  drop(): void {
    for (const frame of this.#held.splice(0)) frame.release();
  }
}
