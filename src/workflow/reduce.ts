// The server's reduce: decode and add over all results at once, a chunk at a time, in float32 and in a fixed order, on all cores.
import { addWeighted, requireFinite } from '../codec/accumulate.js';
import type { CodecPool, CodecTable, WeightedChunk } from '../codec/codec.js';
import { NonFiniteValue } from '../codec/scaling.js';
import { FedStreamError } from '../core/errors.js';
import { type ChunkMemory, HEAP } from '../tensor/chunk-memory.js';
import { largestChunk } from '../tensor/chunks.js';
import { DTYPES } from '../tensor/dtype.js';
import type { Manifest } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';

/** A model as it travelled, and its weight in the sum. */
export interface Addend {
  readonly model: StateDict;
  readonly weight: number;
}

export interface ReduceOptions {
  /** In the order in which they are added: it decides on the bits. */
  readonly addends: readonly Addend[];
  /** What the sum begins with; without it, with nothing. */
  readonly base?: StateDict | undefined;
  readonly codecs: CodecTable;
  readonly pool: CodecPool | undefined;
  /** For messages: whose sum it is. */
  readonly what: string;
}

/** Coded chunks that wait together for a thread: the memory of a chunk does not grow with the number of sites. */
const GROUP_BYTES = 4 * 2 ** 20;

/** Room for one chunk's sum, for some sites' coded bytes, and for the sum in the tensor's dtype. */
interface Slot {
  readonly sum: Float32Array;
  readonly sumBytes: Uint8Array;
  readonly coded: Uint8Array;
}

/**
 * `base + sum of weight × decoded`, chunk by chunk: all models have the same tensors, each in an encoding of its own. One chunk's sum is one
 * thread's work, so the bits depend on neither the number of threads nor the order of arrival. Tensors that no codec may quantize are taken from
 * the first model. Throws `non-finite`, naming tensor and element. Memory: some chunks, whatever the number of models.
 */
export async function* reduceChunks(options: ReduceOptions, range?: ChunkRange): AsyncGenerator<Chunk> {
  const { addends, base, pool } = options;
  const { manifest } = (addends[0] as Addend).model;
  const readers = addends.map(({ model }) => model.chunks(range)[Symbol.asyncIterator]());
  const baseReader = base?.chunks(range)[Symbol.asyncIterator]();
  const memory = pool?.memory ?? HEAP;
  const slots = new Slots(memory, manifest, addends.length > 1 ? GROUP_BYTES : 0);
  const flight: { chunk: Chunk; slot: Slot; done: Promise<void> }[] = [];
  const leave = pool?.enter();
  const most = pool ? Math.min(2 * pool.threads, pool.share) : 1;
  const land = async (): Promise<Chunk> => {
    const { chunk, slot, done } = flight.shift() as (typeof flight)[number];
    slots.free(slot); // nobody takes it before the chunk after this one is asked for
    await done;
    return chunk;
  };
  try {
    for (;;) {
      const first = await nextOf(readers[0], 'the first result');
      if (!first) break;
      const slot = slots.take();
      const { dtype } = first.tensor;
      if (!DTYPES[dtype].quantizable) {
        for (const reader of [...readers.slice(1), ...(baseReader ? [baseReader] : [])]) await nextOf(reader, options.what);
        slot.sumBytes.set(first.bytes);
        flight.push({ chunk: { ...first, bytes: slot.sumBytes.subarray(0, first.bytes.length) }, slot, done: Promise.resolve() });
      } else {
        const sum = slot.sum.subarray(0, first.elements);
        // −0 is the neutral element of addition: −0 + x is x, bit for bit, for every x.
        if (baseReader) widenInto(dtype, (await nextOf(baseReader, 'the base'))?.bytes ?? new Uint8Array(0), sum);
        else sum.fill(-0);
        const { added } = await addGroups(first, readers, slot, sum, options);
        const bytes = dtype === 'F32' ? slot.sumBytes.subarray(0, 4 * sum.length) : slot.coded.subarray(0, 2 * sum.length);
        const done = added.then(
          () => void (dtype === 'F32' || narrowInto(dtype, sum, bytes)),
          (cause: unknown) => Promise.reject(named(cause, first, options.what)),
        );
        done.catch(() => {}); // met when its turn comes, or of no interest after another error
        flight.push({ chunk: { ...first, bytes }, slot, done });
      }
      while (flight.length >= most) yield await land();
    }
    while (flight.length > 0) yield await land();
  } finally {
    leave?.();
    await Promise.allSettled(flight.map(({ done }) => done));
    slots.giveBack();
    await Promise.all([...readers, baseReader].map((reader) => reader?.return?.()));
  }
}

/** Reads the chunk of every model and adds them, as many at once as there is room for; the last of them is awaited by whoever takes the sum. */
async function addGroups(
  first: Chunk,
  readers: readonly AsyncIterator<Chunk>[],
  slot: Slot,
  sum: Float32Array,
  { addends, codecs, pool, what }: ReduceOptions,
): Promise<{ added: Promise<void> }> {
  let group: WeightedChunk[] = [];
  let used = 0;
  const add = (): Promise<void> => {
    const chunks = group;
    group = [];
    used = 0;
    return pool ? pool.reduce(chunks, sum) : addHere(codecs, chunks, sum);
  };
  for (const [index, { weight }] of addends.entries()) {
    const chunk = index === 0 ? first : await nextOf(readers[index], what);
    if (!chunk || chunk.index !== first.index) throw new FedStreamError('internal', `${what}: models of different chunks are added`);
    const { tensor, bytes } = chunk;
    if (used > 0 && used + bytes.length > slot.coded.length) {
      await add().catch((cause: unknown) => Promise.reject(named(cause, first, what)));
    }
    slot.coded.set(bytes, used);
    group.push({ encoding: tensor.encoding, dtype: tensor.dtype, bytes: slot.coded.subarray(used, used + bytes.length), weight });
    used += bytes.length;
  }
  return { added: add() };
}

async function addHere(codecs: CodecTable, chunks: readonly WeightedChunk[], sum: Float32Array): Promise<void> {
  for (const chunk of chunks) addWeighted(codecs, chunk, sum);
  requireFinite(sum);
}

async function nextOf(reader: AsyncIterator<Chunk> | undefined, what: string): Promise<Chunk | undefined> {
  const next = await reader?.next();
  if (!next) throw new FedStreamError('internal', `${what} has no chunks`);
  return next.done ? undefined : next.value;
}

function named(cause: unknown, { tensor, firstElement }: Chunk, what: string): unknown {
  if (!(cause instanceof NonFiniteValue)) return cause;
  const where = `tensor ${tensor.name} has ${cause.value} at element ${firstElement + cause.index}`;
  return new FedStreamError('non-finite', `${what}: ${where}; it is refused`, { cause });
}

/** Slots in the memory that the threads can reach, used in turn. */
class Slots {
  readonly #memory: ChunkMemory;
  readonly #elements: number;
  readonly #groupBytes: number;
  readonly #all: Slot[] = [];
  readonly #free: Slot[] = [];

  constructor(memory: ChunkMemory, manifest: Manifest, groupBytes: number) {
    this.#memory = memory;
    this.#groupBytes = memory === HEAP ? 0 : groupBytes;
    this.#elements = Math.max(1, largestChunk(manifest));
  }

  take(): Slot {
    return this.#free.pop() ?? this.#make();
  }

  free(slot: Slot): void {
    this.#free.push(slot);
  }

  giveBack(): void {
    for (const { sumBytes, coded } of this.#all) for (const buffer of [sumBytes, coded]) this.#memory.giveBack(buffer);
  }

  #make(): Slot {
    // Any element, of whatever dtype, has 8 bytes at most.
    const sumBytes = this.#memory.borrow(8 * this.#elements);
    const coded = this.#memory.borrow(Math.max(8 * this.#elements, this.#groupBytes));
    const slot = { sum: new Float32Array(sumBytes.buffer, sumBytes.byteOffset, this.#elements), sumBytes, coded };
    this.#all.push(slot);
    return slot;
  }
}
