// Reusable buffers for columns in progress: a row of float32 values for each model, the coded
// chunks that become rows, and one more row.
import type { ChunkMemory } from '../tensor/chunk-memory.js';

/** Buffers for one chunk of all models. */
export interface ColumnSlot {
  /** Float32 rows, one for each model. */
  readonly rows: Float32Array;
  readonly coded: Uint8Array;
  /** The row that the rule adds to, or that is subtracted. */
  readonly beside: Float32Array;
}

/** Sizes of the buffers. */
export interface ColumnSlotOptions {
  readonly memory: ChunkMemory;
  readonly models: number;
  /** Elements of the largest chunk. */
  readonly elements: number;
  /** Bytes of the largest coded chunks of all models together. */
  readonly codedBytes: number;
}

/** Lends slots and takes them back; a slot is made when it is first needed. */
export class ColumnSlots {
  readonly #options: ColumnSlotOptions;
  readonly #free: ColumnSlot[] = [];
  readonly #lent: Uint8Array[] = [];

  constructor(options: ColumnSlotOptions) {
    this.#options = options;
  }

  /** Bytes of one slot. */
  get bytes(): number {
    const { models, elements, codedBytes } = this.#options;
    return 4 * (models + 1) * elements + codedBytes;
  }

  take(): ColumnSlot {
    const { models, elements, codedBytes } = this.#options;
    return this.#free.pop() ?? { rows: this.#floats(models * elements), coded: this.#borrow(codedBytes), beside: this.#floats(elements) };
  }

  free(slot: ColumnSlot): void {
    this.#free.push(slot);
  }

  giveBack(): void {
    for (const buffer of this.#lent) this.#options.memory.giveBack(buffer);
  }

  #floats(count: number): Float32Array {
    const bytes = this.#borrow(4 * count);
    return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  }

  #borrow(bytes: number): Uint8Array {
    const buffer = this.#options.memory.borrow(bytes);
    this.#lent.push(buffer);
    return buffer;
  }
}
