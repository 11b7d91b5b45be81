// Sums of models, chunk by chunk: decoded, added in float32 in a fixed order, and coded where
// wanted. One thread does all the work on a chunk.
import { reduceHere } from '../codec/accumulate.js';
import type { AfterSum, Codec, CodecPool, CodecTable, CodeStep, EncodeReport, Prepared, WeightedChunk } from '../codec/codec.js';
import { largestCodedChunk, tensorCodecs } from '../codec/layout.js';
import { written } from '../codec/raw-coding.js';
import { FedStreamError } from '../core/errors.js';
import { HEAP } from '../tensor/chunk-memory.js';
import { DTYPES } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import { ChunkFlight, codecsByEncoding, namingValue } from './chunk-flight.js';
import { type Slot, Slots } from './sum-slots.js';
import { Stepper, type SumStep } from './sum-step.js';

/** A model as it travelled, and its weight in the sum, which is rounded to float32. */
export interface Addend {
  readonly model: StateDict;
  readonly weight: number;
}

/** Options of `sumChunks`. */
export interface SumOptions {
  /** The addends in the order in which they are added, which determines the bits of the sum. */
  readonly addends: readonly Addend[];
  /** The model that the sum begins with; zero by default. */
  readonly base?: StateDict | undefined;
  readonly codecs: CodecTable;
  readonly pool: CodecPool | undefined;
  /** The name of the sum in error messages. */
  readonly what: string;
  /**
   * The index of the addend from which tensors are copied that no codec may quantize; 0 by default.
   */
  readonly passed?: number;
  readonly code?: SumCode;
  /** Set to have the sum of squares of each chunk in its report. Without `code` alone. */
  readonly measure?: true;
  /**
   * A step of an optimizer with each chunk of the sum: the chunks are then those of the next model.
   * All tensors are ones that can be averaged. Without `code` and `measure` alone.
   */
  readonly step?: SumStep;
}

/** The coding of a sum. */
export interface SumCode {
  /** The manifest of the coded sum: the tensors of the first addend, each with its encoding. */
  readonly manifest: Manifest;
  /** Prepares a tensor's codec, where it must see the whole tensor before coding. */
  prepare?(tensorIndex: number): Promise<Prepared | undefined>;
  /**
   * A second output in float32. `kept`: the sum less its decoded code (the residual). A number: the
   * raw float32 addend of that index plus the decoded code (the model that a receiver then holds).
   */
  readonly beside?: 'kept' | number;
}

/** A chunk of the sum. Its buffers are valid until the next chunk is requested. */
export interface Summed {
  /** The sum in the dtype of the first addend; the code where sums are coded. */
  readonly chunk: Chunk;
  /**
   * The bytes of the second output; undefined without one. A tensor that no codec may quantize is
   * copied as it is.
   */
  readonly beside?: Uint8Array | undefined;
  readonly report: EncodeReport;
  /** The moments after the step, in float32, in the order of `SumStep.moments`. */
  readonly moments?: readonly Uint8Array[];
}

const NO_REPORT: EncodeReport = { saturated: 0 };

/**
 * `base + sum of weight × decoded`, chunk by chunk. All models must have the same tensors, each in
 * any encoding. One thread sums a chunk, so the bits depend neither on the number of threads nor on
 * the order of arrival. Tensors that no codec may quantize are copied from one of the models.
 * Throws `non-finite`, naming the tensor and the element. Holds a few chunks in memory, whatever
 * the number of models.
 */
export async function* sumChunks(options: SumOptions, range?: ChunkRange): AsyncGenerator<Summed> {
  const { addends, base, pool, code } = options;
  const { manifest } = (addends[0] as Addend).model;
  const readers = addends.map(({ model }) => model.chunks(range)[Symbol.asyncIterator]());
  const baseReader = base?.chunks(range)[Symbol.asyncIterator]();
  const { codecs } = options;
  const stepper = options.step && new Stepper(options.step, range);
  const slots = new Slots({
    memory: pool?.memory ?? HEAP,
    manifest,
    range,
    groups: addends.length > 1,
    addedBytes: Math.max(...addends.map(({ model }) => largestCodedChunk(model.manifest, codecs))),
    codedBytes: code && largestCodedChunk(code.manifest, codecs),
    stepBuffers: stepper?.buffers,
  });
  const coder = code && new Coder(code, codecs);
  const codecFor = codecsByEncoding(codecs);
  const leave = pool?.enter();
  const flight = new ChunkFlight<Slot, Summed>(slots, pool ? Math.min(2 * pool.threads, pool.share) : 1);
  try {
    for (;;) {
      const first = await nextOf(readers[0], 'the first result');
      if (!first) break;
      const slot = slots.take();
      let done: Promise<Summed>;
      if (DTYPES[first.tensor.dtype].quantizable) {
        const sum = slot.sum.subarray(0, first.elements);
        // −0 is the neutral element of addition: −0 + x is x, bit for bit, for every x.
        if (baseReader) widenInto(first.tensor.dtype, (await nextOf(baseReader, 'the base'))?.bytes ?? new Uint8Array(0), sum);
        else sum.fill(-0);
        done = (await summed(first, readers, slot, sum, options, codecFor, coder, stepper)).done;
      } else {
        slot.sumBytes.set(first.bytes);
        for (const [index, reader] of [...readers, baseReader].entries()) {
          if (index === 0 || !reader) continue;
          const other = await nextOf(reader, options.what);
          if (index === options.passed && other) slot.sumBytes.set(other.bytes);
        }
        done = Promise.resolve(passedOn(first, slot, coder));
      }
      flight.begin(slot, done);
      while (flight.isFull) yield await flight.land();
    }
    while (!flight.isEmpty) yield await flight.land();
  } finally {
    leave?.();
    await flight.settled();
    slots.giveBack();
    await Promise.all([...readers, baseReader].map((reader) => reader?.return?.()));
    await stepper?.close();
  }
}

/** The codec of the current tensor, with its preparation. */
class Coder {
  readonly code: SumCode;
  readonly #codecFor: ReturnType<typeof tensorCodecs>;
  #current = -1;
  #codec: Codec | undefined;
  #prepared: Prepared | undefined;

  constructor(code: SumCode, codecs: CodecTable) {
    this.code = code;
    this.#codecFor = tensorCodecs(code.manifest, codecs);
  }

  tensor(index: number): TensorEntry {
    return this.code.manifest.tensors[index] as TensorEntry;
  }

  async step(chunk: Chunk, slot: Slot, sum: Float32Array, held: Float32Array | undefined): Promise<CodeStep> {
    const { prepare, beside } = this.code;
    const tensor = this.tensor(chunk.tensorIndex);
    if (chunk.tensorIndex !== this.#current) {
      this.#current = chunk.tensorIndex;
      this.#codec = this.#codecFor(tensor);
      this.#prepared = this.#codec?.prepare ? await prepare?.(chunk.tensorIndex) : undefined;
    }
    const codec = this.#codec;
    const bytes = codec ? codec.encodedBytes(chunk.elements) : 4 * chunk.elements;
    const added = beside === 'kept' ? { into: sum, weight: -1 } : held && { into: held, weight: 1 };
    return { codec, to: slot.coded.subarray(0, bytes), prepared: this.#prepared, addTo: added };
  }
}

function passedOn(first: Chunk, slot: Slot, coder: Coder | undefined): Summed {
  const bytes = slot.sumBytes.subarray(0, first.bytes.length);
  const tensor = coder ? coder.tensor(first.tensorIndex) : first.tensor;
  return { chunk: { ...first, tensor, bytes }, beside: coder?.code.beside === undefined ? undefined : bytes, report: NO_REPORT };
}

/**
 * Reads the chunk of every model and adds them, as many at once as there is room for. Only the last
 * step may still be running on a thread when this returns; the consumer of the sum awaits it.
 */
async function summed(
  first: Chunk,
  readers: readonly AsyncIterator<Chunk>[],
  slot: Slot,
  sum: Float32Array,
  { addends, codecs, pool, what, measure }: SumOptions,
  codecFor: (encoding: Encoding) => Codec | undefined,
  coder: Coder | undefined,
  stepper: Stepper | undefined,
): Promise<{ done: Promise<Summed> }> {
  let group: WeightedChunk[] = [];
  let used = 0;
  let held: Float32Array | undefined;
  const add = (after?: AfterSum): Promise<EncodeReport> => {
    const chunks = group;
    group = [];
    used = 0;
    const adding = pool ? pool.reduce(chunks, sum, after) : (async () => reduceHere(codecs, chunks, sum, after))();
    return adding.catch((cause: unknown) => Promise.reject(namingValue(cause, first, what)));
  };
  for (const [index, { weight }] of addends.entries()) {
    const chunk = index === 0 ? first : await nextOf(readers[index], what);
    if (!chunk || chunk.index !== first.index) throw new FedStreamError('internal', `${what}: models of different chunks are added`);
    const { tensor, bytes } = chunk;
    if (used > 0 && used + bytes.length > slot.added.length) await add();
    const place = slot.added.subarray(used, used + bytes.length);
    place.set(bytes);
    // A kernel takes a float32 number; rounded here, the reference has the same.
    group.push({ codec: codecFor(tensor.encoding), dtype: tensor.dtype, bytes: place, weight: Math.fround(weight) });
    if (coder?.code.beside === index) held = new Float32Array(place.buffer, place.byteOffset, chunk.elements);
    used += bytes.length;
  }
  if (stepper) {
    const step = await stepper.read(first, slot);
    group.push(...stepper.added(step));
    return { done: add(step).then((report) => stepper.stepped(step, first, slot, report)) };
  }
  if (!coder) {
    const { dtype } = first.tensor;
    const bytes = dtype === 'F32' ? slot.sumBytes.subarray(0, 4 * sum.length) : slot.added.subarray(0, 2 * sum.length);
    const narrow = (report: EncodeReport): Summed => {
      if (dtype !== 'F32') narrowInto(dtype, sum, bytes);
      return { chunk: { ...first, tensor: { ...first.tensor, encoding: RAW }, bytes }, report };
    };
    return { done: add(measure && 'measure').then(narrow) };
  }
  const step = await coder.step(first, slot, sum, held);
  const values = step.addTo?.into;
  const beside = values && new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const { codec, to } = step;
  const chunk = { ...first, tensor: coder.tensor(first.tensorIndex) };
  const coded = (report: EncodeReport): Uint8Array => (codec ? written(codec, to, report) : to);
  return { done: add(step).then((report) => ({ chunk: { ...chunk, bytes: coded(report) }, beside, report })) };
}

async function nextOf(reader: AsyncIterator<Chunk> | undefined, what: string): Promise<Chunk | undefined> {
  const next = await reader?.next();
  if (!next) throw new FedStreamError('internal', `${what} has no chunks`);
  return next.done ? undefined : next.value;
}
