// Assembles leaves from chunks; whole leaves stay in the memory of their frame.
import { FrameMemory } from '../driver/frame-memory.js';
import type { Frame } from '../frame/frame.js';
import { LEAF_BYTES } from './leaf-sums.js';

/** A leaf that has arrived whole; its memory is used again once it is released. */
export interface HeldLeaf {
  readonly bytes: Uint8Array;
  release(): void;
}

/**
 * Assembles the chunks of one stream. It costs one leaf of memory, beside leaves that were not
 * released.
 */
export class LeafAssembly {
  readonly #memory = new FrameMemory();
  #buffer: Uint8Array | undefined;
  #filled = 0;

  /** Bytes of the leaf that has not arrived whole. */
  get pendingBytes(): number {
    return this.#filled;
  }

  /**
   * Adds the payload of the next frame, in which `ends` leaves end; the last of them may be short
   * if the payload ends with it. Returns those leaves.
   */
  add(frame: Frame, ends: number): HeldLeaf[] {
    const { payload } = frame;
    const leaves: HeldLeaf[] = [];
    const inPlace = shared(frame);
    for (let at = 0; at < payload.length; ) {
      const part = payload.subarray(at, at + LEAF_BYTES - this.#filled);
      at += part.length;
      const isWhole = this.#filled + part.length === LEAF_BYTES || (at === payload.length && leaves.length < ends);
      if (isWhole && this.#filled === 0) {
        leaves.push({ bytes: part, release: inPlace() });
        continue;
      }
      this.#buffer ??= this.#memory.take(LEAF_BYTES);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      if (isWhole) leaves.push(this.#taken());
    }
    inPlace()();
    return leaves;
  }

  /** Forgets the leaf that has not arrived whole. */
  clear(): void {
    this.#filled = 0;
  }

  #taken(): HeldLeaf {
    const bytes = (this.#buffer as Uint8Array).subarray(0, this.#filled);
    this.#buffer = undefined;
    this.#filled = 0;
    return { bytes, release: () => this.#memory.giveBack(bytes) };
  }
}

/** Each call adds a holder of the frame; the last holder to let go releases it. */
function shared(frame: Frame): () => () => void {
  let holders = 0;
  return () => {
    holders++;
    return () => {
      if (--holders === 0) frame.release();
    };
  };
}
