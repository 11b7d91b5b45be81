// Columns of models: rules over the values that several models have at one position, chunk by
// chunk. One thread does all the work on a chunk.
import type { Codec, CodecPool, CodecTable, CodedRow, ColumnStep, EncodeReport } from '../codec/codec.js';
import { columnsHere } from '../codec/columns.js';
import { largestCodedChunk } from '../codec/layout.js';
import { FedStreamError } from '../core/errors.js';
import { HEAP } from '../tensor/chunk-memory.js';
import { largestChunk } from '../tensor/chunks.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { widenInto } from '../tensor/widen.js';
import { ChunkFlight, codecsByEncoding, namingValue } from './chunk-flight.js';
import { type ColumnSlot, ColumnSlots } from './column-slots.js';

/** Models and how they are read; all have the same tensors, float32 in any encoding. */
export interface ColumnOptions {
  /** In the order in which their values are added. */
  readonly models: readonly StateDict[];
  readonly codecs: CodecTable;
  readonly pool: CodecPool | undefined;
  /** The name of the result in error messages. */
  readonly what: string;
}

/** A rule that makes one value of each column. */
export type ValueRule = { readonly rule: 'middle'; readonly trim: number } | { readonly rule: 'nearMedian'; readonly keep: number };

/** Bytes of all chunks in work: about as much as the threads' memory has room for, beside others. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * `base + rule(column)` as raw float32 chunks; the base is zero by default, and raw. The bits do
 * not depend on the number of threads. Throws `non-finite`, naming the tensor and the element.
 * Holds a few chunks of each model in memory.
 */
export async function* columnChunks(
  options: ColumnOptions & { readonly rule: ValueRule; readonly base?: StateDict | undefined },
  range?: ChunkRange,
): AsyncGenerator<Chunk> {
  const { rule, base } = options;
  const work = { beside: base, fill: -0, stepFor: (into: Float32Array): ColumnStep => ({ ...rule, into }) };
  for await (const { chunk, beside } of worked(options, work, range)) {
    const bytes = new Uint8Array(beside.buffer, beside.byteOffset, 4 * chunk.elements);
    yield { ...chunk, tensor: { ...chunk.tensor, encoding: RAW }, bytes };
  }
}

/**
 * The dot products of all pairs of models, n × n values row by row; each model less `less`, where
 * that is given. Products of a chunk are added in float64, then the chunks in their order, so the
 * bits do not depend on the number of threads. Reads every model once.
 */
export async function innerProducts(options: ColumnOptions & { readonly less?: StateDict | undefined }): Promise<Float64Array> {
  const { less, models, what } = options;
  const sums = new Float64Array(models.length ** 2);
  const work = { beside: less, fill: 0, stepFor: (row: Float32Array): ColumnStep => ({ rule: 'products', less: less && row }) };
  for await (const { report } of worked(options, work))
    for (const [i, product] of (report.products ?? []).entries()) sums[i] = (sums[i] as number) + product;
  if (!sums.every(Number.isFinite)) throw new FedStreamError('non-finite', `${what}: the values are too large, or no numbers`);
  return sums;
}

/** The step for each chunk, and the model that its row beside the others is read from. */
interface Work {
  readonly beside: StateDict | undefined;
  /** The value of the row where there is no such model. */
  readonly fill: number;
  stepFor(beside: Float32Array): ColumnStep;
}

interface Worked {
  readonly chunk: Chunk;
  readonly beside: Float32Array;
  readonly report: EncodeReport;
}

async function* worked({ models, codecs, pool, what }: ColumnOptions, work: Work, range?: ChunkRange): AsyncGenerator<Worked> {
  const { manifest } = models[0] as StateDict;
  const readers = [...models, ...(work.beside ? [work.beside] : [])].map((model) => model.chunks(range)[Symbol.asyncIterator]());
  const slots = new ColumnSlots({
    memory: pool?.memory ?? HEAP,
    models: models.length,
    elements: Math.max(1, largestChunk(manifest, range)),
    codedBytes: models.reduce((sum, model) => sum + largestCodedChunk(model.manifest, codecs), 0),
  });
  const codecFor = codecsByEncoding(codecs);
  const leave = pool?.enter();
  const most = pool ? Math.max(1, Math.min(2 * pool.threads, pool.share, Math.floor(MOST_BYTES / slots.bytes))) : 1;
  const flight = new ChunkFlight<ColumnSlot, Worked>(slots, most);
  try {
    for (;;) {
      const slot = slots.take();
      const read = await readColumns(readers, models.length, slot, codecFor, what);
      if (!read) break;
      const { chunk, rows, beside } = read;
      if (!work.beside) beside.fill(work.fill);
      const decoded = slot.rows.subarray(0, models.length * chunk.elements);
      const step = work.stepFor(beside);
      const report = pool ? pool.columns(rows, decoded, step) : (async () => columnsHere(rows, decoded, step))();
      const done = report.then(
        (made) => ({ chunk, beside, report: made }),
        (cause: unknown) => Promise.reject(namingValue(cause, chunk, what)),
      );
      flight.begin(slot, done);
      while (flight.isFull) yield await flight.land();
    }
    while (!flight.isEmpty) yield await flight.land();
  } finally {
    leave?.();
    await flight.settled();
    slots.giveBack();
    await Promise.all(readers.map((reader) => reader.return?.()));
  }
}

interface ReadColumns {
  readonly chunk: Chunk;
  readonly rows: readonly CodedRow[];
  readonly beside: Float32Array;
}

/** Reads the next chunk of every model into the slot; undefined behind the last one. */
async function readColumns(
  readers: readonly AsyncIterator<Chunk>[],
  models: number,
  slot: ColumnSlot,
  codecFor: (encoding: Encoding) => Codec | undefined,
  what: string,
): Promise<ReadColumns | undefined> {
  const rows: CodedRow[] = [];
  let first: Chunk | undefined;
  let used = 0;
  for (const [index, reader] of readers.entries()) {
    const next = await reader.next();
    if (next.done && index === 0) return undefined;
    if (next.done || (first && next.value.index !== first.index))
      throw new FedStreamError('internal', `${what}: models of different chunks are compared`);
    const { tensor, bytes, elements } = next.value;
    first ??= next.value;
    if (index === models) {
      widenInto(tensor.dtype, bytes, slot.beside);
      continue;
    }
    const codec = codecFor(tensor.encoding);
    if (!codec) widenInto(tensor.dtype, bytes, slot.rows.subarray(index * elements, (index + 1) * elements));
    else slot.coded.set(bytes, used);
    rows.push({ codec, bytes: slot.coded.subarray(used, used + (codec ? bytes.length : 0)) });
    if (codec) used += bytes.length;
  }
  const chunk = first as Chunk;
  return { chunk, rows, beside: slot.beside.subarray(0, chunk.elements) };
}
