// Reusable buffers for sums in progress: float32 values, the coded chunks that are added, and the
// coded sum.
import { type ChunkMemory, HEAP } from '../tensor/chunk-memory.js';
import { largestChunk } from '../tensor/chunks.js';
import type { Manifest } from '../tensor/manifest.js';
import type { ChunkRange } from '../tensor/state-dict.js';

/**
 * Bound on coded chunks that wait together for a thread, so that memory does not grow with the
 * number of models.
 */
const GROUP_BYTES = 4 * 2 ** 20;

/** Buffers for one chunk. */
export interface Slot {
  readonly sum: Float32Array;
  /**
   * The same memory as bytes; twice as long, for tensors of 64-bit elements that are only copied.
   */
  readonly sumBytes: Uint8Array;
  /** Coded chunks to be added; afterwards the sum in the tensor's dtype. */
  readonly added: Uint8Array;
  /** The coded sum; empty where sums are not coded. */
  readonly coded: Uint8Array;
  /** The model and the moments of an optimizer's step; none where no step is made. */
  readonly step: readonly Float32Array[];
}

/** Sizes of the buffers. */
export interface SlotOptions {
  readonly memory: ChunkMemory;
  readonly manifest: Manifest;
  /** The chunks that are summed; all of the manifest by default. */
  readonly range?: ChunkRange | undefined;
  /** The largest coded chunk that is added. */
  readonly addedBytes: number;
  /** True where several models are added, whose chunks wait together for a thread. */
  readonly groups: boolean;
  /** The largest chunk of the coded sum; undefined where sums are not coded. */
  readonly codedBytes?: number | undefined;
  /** Float32 buffers of a chunk for an optimizer's step. */
  readonly stepBuffers?: number | undefined;
}

/** Lends slots and takes them back; a slot is made when it is first needed. */
export class Slots {
  readonly #options: SlotOptions;
  readonly #elements: number;
  readonly #free: Slot[] = [];
  readonly #all: Slot[] = [];

  constructor(options: SlotOptions) {
    this.#options = options;
    this.#elements = Math.max(1, largestChunk(options.manifest, options.range));
  }

  take(): Slot {
    return this.#free.pop() ?? this.#make();
  }

  free(slot: Slot): void {
    this.#free.push(slot);
  }

  giveBack(): void {
    for (const { sumBytes, added, coded, step } of this.#all) {
      const lent = step.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength));
      for (const buffer of [sumBytes, added, coded, ...lent]) this.#options.memory.giveBack(buffer);
    }
  }

  #make(): Slot {
    const { memory, groups, addedBytes, codedBytes, stepBuffers = 0 } = this.#options;
    // An element of any dtype has at most 8 bytes.
    const plainBytes = 8 * this.#elements;
    const sumBytes = memory.borrow(plainBytes);
    const added = memory.borrow(Math.max(plainBytes, addedBytes, groups && memory !== HEAP ? GROUP_BYTES : 0));
    const coded = memory.borrow(codedBytes === undefined ? 0 : Math.max(4 * this.#elements, codedBytes));
    const floats = ({ buffer, byteOffset }: Uint8Array): Float32Array => new Float32Array(buffer, byteOffset, this.#elements);
    const step = Array.from({ length: stepBuffers }, () => floats(memory.borrow(4 * this.#elements)));
    const slot = { sum: floats(sumBytes), sumBytes, added, coded, step };
    this.#all.push(slot);
    return slot;
  }
}
