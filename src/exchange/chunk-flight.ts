// What sums and columns of models share: chunks in work on threads, which end in the order in which
// they began; the codecs of what they read; the error that names a value.
import type { Codec, CodecTable } from '../codec/codec.js';
import { codecOf } from '../codec/codec-table.js';
import { NonFiniteValue } from '../codec/scaling.js';
import { FedStreamError } from '../core/errors.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import type { Chunk } from '../tensor/state-dict.js';

interface InFlight<Slot, Made> {
  readonly slot: Slot;
  readonly done: Promise<Made>;
}

/** Chunks in work, each with the buffers that it lies in. */
export class ChunkFlight<Slot, Made> {
  readonly #slots: { free(slot: Slot): void };
  readonly #most: number;
  readonly #flying: InFlight<Slot, Made>[] = [];

  /** At most `most` chunks are in work; their slots go back to `slots`. */
  constructor(slots: { free(slot: Slot): void }, most: number) {
    this.#slots = slots;
    this.#most = most;
  }

  get isFull(): boolean {
    return this.#flying.length >= this.#most;
  }

  get isEmpty(): boolean {
    return this.#flying.length === 0;
  }

  begin(slot: Slot, done: Promise<Made>): void {
    done.catch(() => {}); // met when its turn comes, or of no interest after another error
    this.#flying.push({ slot, done });
  }

  /** What became of the oldest chunk; its slot holds it until the next slot is taken. */
  land(): Promise<Made> {
    const { slot, done } = this.#flying.shift() as InFlight<Slot, Made>;
    this.#slots.free(slot); // nobody takes it before the chunk after this one is asked for
    return done;
  }

  /** Resolves once no thread works on a slot any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#flying.map(({ done }) => done));
  }
}

/** Looks up codecs by encoding; one is made for each. Undefined for raw values. */
export function codecsByEncoding(codecs: CodecTable): (encoding: Encoding) => Codec | undefined {
  const made = new Map<Encoding, Codec>();
  return (encoding) => {
    if (encoding.codec === RAW.codec) return undefined;
    const codec = made.get(encoding) ?? codecOf(codecs, encoding);
    made.set(encoding, codec);
    return codec;
  };
}

/** The error of work on a chunk, which says where a value is that is no finite number. */
export function namingValue(cause: unknown, { tensor, firstElement }: Chunk, what: string): unknown {
  if (!(cause instanceof NonFiniteValue)) return cause;
  const where = `tensor ${tensor.name} has ${cause.value} at element ${firstElement + cause.index}`;
  return new FedStreamError('non-finite', `${what}: ${where}; it is refused`, { cause });
}
