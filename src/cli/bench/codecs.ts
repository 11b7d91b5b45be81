// Measures GB/s of float32 through every kernel, a memory copy and the reference kernels in one
// run.
import type { Codec, CodecPool, CodecTable, Prepared } from '../../codec/codec.js';
import { codecNames, parseCodecName } from '../../codec/codec-name.js';
import { rowOf } from '../../codec/codec-rows.js';
import { codecOf, referenceCodecs } from '../../codec/codec-table.js';
import { written } from '../../codec/raw-coding.js';
import { nodeCodecPool } from '../../node/codec/codec-pool.js';
import { checksumOf } from '../../stream/hashed-memory.js';
import { xxh3 } from '../../stream/xxh3.js';
import { CHUNK_ELEMENTS } from '../../tensor/manifest.js';
import { copyOnThreads } from './copy-threads.js';
import { llama1b } from './llama-shapes.js';
import { repeatedModel } from './normal-model.js';

/** Not measured: nested scales cost fp4 as much as nf4, and fp32 has no kernel. */
const LEFT_OUT: ReadonlySet<string> = new Set(['fp32', 'fp4-nested']);
const WORKS = ['encode', 'decode', 'accumulate'] as const;
const CHUNK_BYTES = CHUNK_ELEMENTS * 4;
/** MB (2^20 bytes) that stream through a kernel: more than any cache holds. */
export const STREAM_MB = 256;
/** The reference kernels get fewer chunks, since they are ten times slower. */
const REFERENCE_CHUNKS = 8;
const ROUNDS = 4;
/** The reference checksum gets few bytes, since BigInt makes it a thousand times slower. */
const LEAST_BYTES = 64 * 1024;
const PREPARED: Prepared = { offset: 0.04 };
const WEIGHT = 0.25;

/** Figures of one kernel, in GB/s of float32. */
export interface KernelFigures {
  /** Codec and direction, for example `nf4.encode`. */
  readonly name: string;
  readonly threads: number;
  /** Over 256 MB, more than any cache holds. */
  readonly streamGBps: number;
  /** Over the same 1 MB, repeatedly. */
  readonly hotGBps: number;
  /**
   * The plain TypeScript codec on one thread, over 8 MB. A codec without a kernel has this figure
   * in all three places.
   */
  readonly referenceGBps: number;
}

/** Figures of all kernels, and of a memory copy to compare with. */
export interface CodecFigures {
  /** 256 MB copied by one thread, 1 MB at a time. */
  readonly copyGBps: number;
  /** The same by as many threads as the kernels have, each with memory of its own. */
  readonly copyAllGBps: number;
  readonly threads: number;
  readonly kernels: readonly KernelFigures[];
}

type Step = (chunk: number) => unknown;

/**
 * Measures every codec of a table; each figure is the best of a few rounds. All buffers lie in the
 * memory of the kernels, as they do when a model streams. `chunks` counts chunks of 1 MB; those
 * beyond `STREAM_MB` go through the same buffers again, since the memory of the threads ends at 1
 * GiB and no cache holds these buffers either.
 */
export async function benchCodecs(
  codecs: CodecTable,
  onFigures: (figures: KernelFigures, copyGBps: number) => void = () => {},
  chunks = STREAM_MB,
): Promise<CodecFigures> {
  const buffers = Math.min(chunks, STREAM_MB);
  const pool = nodeCodecPool({ lentBytes: 2.5 * Math.max(buffers, 16) * CHUNK_BYTES });
  try {
    const values = Array.from({ length: buffers }, () => pool.memory.borrow(CHUNK_BYTES));
    const coded = Array.from({ length: buffers }, () => pool.memory.borrow(CHUNK_BYTES));
    await fill(values);
    for (const buffer of coded) buffer.fill(1);
    const copyGBps = await measured(chunks, (chunk) => coded[chunk % buffers]?.set(values[chunk % buffers] as Uint8Array));
    const kernels: KernelFigures[] = [];
    const add = (figures: KernelFigures): void => {
      kernels.push(figures);
      onFigures(figures, copyGBps);
    };
    for (const name of codecNames(codecs).filter((one) => !LEFT_OUT.has(one))) {
      const encoding = parseCodecName(name, codecs);
      const { kernel } = rowOf(codecs, encoding.codec);
      const reference = codecOf(kernel ? referenceCodecs : codecs, encoding);
      for (const work of WORKS) {
        const referenceGBps = await measured(REFERENCE_CHUNKS, referenceStep(reference, work, values[0] as Uint8Array));
        const of = `${name}.${work}`;
        if (!kernel) add({ name: of, threads: 1, streamGBps: referenceGBps, hotGBps: referenceGBps, referenceGBps });
        for (const threads of kernel ? new Set([1, pool.threads]) : []) {
          const codec = codecOf(pool.codecs, encoding);
          const step = threads === 1 ? oneThread(codec, work, values, coded) : allThreads(pool, codec, work, values, coded);
          const streamGBps = await measured(chunks, (chunk) => step(chunk % buffers), threads);
          const hotGBps = await measured(chunks, (chunk) => step(chunk % threads), threads);
          add({ name: of, threads, streamGBps, hotGBps, referenceGBps });
        }
      }
      await fill(values);
    }
    add(await checksumFigures(values));
    const { threads } = pool;
    const copyAllGBps = await copyOnThreads(threads, Math.max(1, Math.round(buffers / threads)));
    return { copyGBps, copyAllGBps, threads, kernels };
  } finally {
    await pool.close();
  }
}

/** Figures of the checksum that every leaf gets when it is sent and received. */
async function checksumFigures(values: readonly Uint8Array[]): Promise<KernelFigures> {
  const leaf = (chunk: number): Uint8Array => values[chunk] as Uint8Array;
  const small = leaf(0).slice(0, LEAST_BYTES);
  const startMs = performance.now();
  xxh3(small);
  const referenceGBps = Math.round((LEAST_BYTES / 1e4 / (performance.now() - startMs)) * 1) / 100;
  return {
    name: 'xxh3',
    threads: 1,
    streamGBps: await measured(values.length, (chunk) => checksumOf(leaf(chunk))),
    hotGBps: await measured(values.length, () => checksumOf(leaf(0))),
    referenceGBps,
  };
}

async function fill(values: readonly Uint8Array[]): Promise<void> {
  const model = repeatedModel(llama1b(), 1).chunks({ first: 0, end: 1 });
  for await (const chunk of model) for (const buffer of values) buffer.set(chunk.bytes);
}

function partOf(codec: Codec, coded: readonly Uint8Array[], chunk: number): Uint8Array {
  return (coded[chunk] as Uint8Array).subarray(0, codec.encodedBytes(CHUNK_ELEMENTS));
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, CHUNK_ELEMENTS);
}

function referenceStep(codec: Codec, work: (typeof WORKS)[number], values: Uint8Array): Step {
  const from = floats(values.slice());
  const to = new Uint8Array(codec.encodedBytes(CHUNK_ELEMENTS));
  if (work === 'encode') return () => codec.encode(from, to, PREPARED);
  const code = written(codec, to, codec.encode(from, to, PREPARED));
  return work === 'decode' ? () => codec.decode(code, from) : () => codec.accumulate(code, WEIGHT, from);
}

function oneThread(codec: Codec, work: (typeof WORKS)[number], values: readonly Uint8Array[], coded: readonly Uint8Array[]): Step {
  const at = (chunk: number): Uint8Array => values[chunk] as Uint8Array;
  if (work === 'encode')
    return (chunk) => codec.encodeRaw?.({ dtype: 'F32', bytes: at(chunk) }, CHUNK_ELEMENTS, partOf(codec, coded, chunk), PREPARED);
  if (work === 'decode')
    return (chunk) => codec.decodeRaw?.(partOf(codec, coded, chunk), CHUNK_ELEMENTS, { dtype: 'F32', bytes: at(chunk) });
  return (chunk) => codec.accumulate(partOf(codec, coded, chunk), WEIGHT, floats(at(chunk)));
}

function allThreads(
  pool: CodecPool,
  codec: Codec,
  work: (typeof WORKS)[number],
  values: readonly Uint8Array[],
  coded: readonly Uint8Array[],
): Step {
  const raw = (chunk: number) => ({ dtype: 'F32' as const, bytes: values[chunk] as Uint8Array });
  if (work === 'encode') return (chunk) => pool.encode(codec, raw(chunk), CHUNK_ELEMENTS, partOf(codec, coded, chunk), PREPARED);
  if (work === 'decode') return (chunk) => pool.decode(codec, partOf(codec, coded, chunk), CHUNK_ELEMENTS, raw(chunk));
  return (chunk) => pool.accumulate(codec, partOf(codec, coded, chunk), WEIGHT, floats(raw(chunk).bytes));
}

/** GB/s of the best round; each thread always has four chunks on their way. */
async function measured(chunks: number, step: Step, threads = 1): Promise<number> {
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    if (threads === 1) for (let chunk = 0; chunk < chunks; chunk++) step(chunk);
    else {
      let next = 0;
      const lane = async (): Promise<void> => {
        while (next < chunks) await step(next++);
      };
      await Promise.all(Array.from({ length: 4 * threads }, lane));
    }
    best = Math.max(best, (chunks * CHUNK_BYTES) / 1e6 / (performance.now() - start));
  }
  return Math.round(best * 100) / 100;
}
