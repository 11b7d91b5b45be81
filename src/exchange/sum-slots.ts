// Room for sums on their way: float32 values, what is added to them, and what they are coded to. Reused, chunk after chunk.
import { type ChunkMemory, HEAP } from '../tensor/chunk-memory.js';
import { largestChunk } from '../tensor/chunks.js';
import type { Manifest } from '../tensor/manifest.js';

/** Coded chunks that wait together for a thread: the memory of a chunk does not grow with the number of models. */
const GROUP_BYTES = 4 * 2 ** 20;

/** Room for one chunk. */
export interface Slot {
  readonly sum: Float32Array;
  /** The same memory; twice as long, for tensors of 64-bit elements that are only passed on. */
  readonly sumBytes: Uint8Array;
  /** Chunks that are added, and afterwards the sum in the tensor's dtype. */
  readonly added: Uint8Array;
  /** What the sum is coded to; empty where it is not. */
  readonly coded: Uint8Array;
}

export interface SlotOptions {
  readonly memory: ChunkMemory;
  readonly manifest: Manifest;
  /** The largest coded chunk that is added. */
  readonly addedBytes: number;
  /** Whether several models are added, which wait together for a thread. */
  readonly groups: boolean;
  /** The largest chunk that a sum is coded to; missing where sums are not coded. */
  readonly codedBytes?: number | undefined;
}

/** Slots that are lent and taken back; made when first needed. */
export class Slots {
  readonly #options: SlotOptions;
  readonly #elements: number;
  readonly #free: Slot[] = [];
  readonly #all: Slot[] = [];

  constructor(options: SlotOptions) {
    this.#options = options;
    this.#elements = Math.max(1, largestChunk(options.manifest));
  }

  take(): Slot {
    return this.#free.pop() ?? this.#make();
  }

  free(slot: Slot): void {
    this.#free.push(slot);
  }

  giveBack(): void {
    for (const { sumBytes, added, coded } of this.#all)
      for (const buffer of [sumBytes, added, coded]) this.#options.memory.giveBack(buffer);
  }

  #make(): Slot {
    const { memory, groups, addedBytes, codedBytes } = this.#options;
    // Any element, of whatever dtype, has 8 bytes at most.
    const plainBytes = 8 * this.#elements;
    const sumBytes = memory.borrow(plainBytes);
    const added = memory.borrow(Math.max(plainBytes, addedBytes, groups && memory !== HEAP ? GROUP_BYTES : 0));
    const coded = memory.borrow(codedBytes === undefined ? 0 : Math.max(4 * this.#elements, codedBytes));
    const slot = { sum: new Float32Array(sumBytes.buffer, sumBytes.byteOffset, this.#elements), sumBytes, added, coded };
    this.#all.push(slot);
    return slot;
  }
}
