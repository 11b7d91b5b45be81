// Makes leaves of chunks: a chunk of whole leaves is left where it lies, parts of one are put together.
import { FrameMemory } from '../driver/frame-memory.js';
import type { Frame } from '../frame/frame.js';
import { LEAF_BYTES } from './leaf-sums.js';

/** A leaf that has come whole; its memory is used again once it is released. */
export interface HeldLeaf {
  readonly bytes: Uint8Array;
  release(): void;
}

/** One leaf of memory at most, beside what was not released. */
export class LeafAssembly {
  readonly #memory = new FrameMemory();
  #buffer: Uint8Array | undefined;
  #filled = 0;

  /** Of a leaf that has not come whole. */
  get pendingBytes(): number {
    return this.#filled;
  }

  /** The payload of the next frame, in which so many leaves end: the last of them may be short where the payload ends with it. Returns those leaves. */
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

  /** Forgets the leaf that has not come whole. */
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

/** Each call is one more who holds the frame; it is released by the last of them. */
function shared(frame: Frame): () => () => void {
  let holders = 0;
  return () => {
    holders++;
    return () => {
      if (--holders === 0) frame.release();
    };
  };
}
