// The contract of a codec, and of its row in a table.
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import type { Dtype } from '../tensor/dtype.js';
import type { Encoding } from '../tensor/manifest.js';
import type { Kernels } from './kernel-types.js';
import type { OptimizerStep } from './optimizer-step.js';

/**
 * Facts that a codec learns from a whole tensor before it codes its chunks (nested scales: the mean
 * of the block scales).
 */
export interface Prepared {
  /**
   * The mean of the absmax, accumulated in float64, rounded to float32 (docs/spec/codecs.md,
   * "Nested scales").
   */
  readonly offset: number;
}

/** Sees every chunk of a tensor, in order, before the first one is coded. */
export interface Preparation {
  push(chunk: Float32Array): void;
  finish(): Prepared;
}

/** Figures of one coded chunk. */
export interface EncodeReport {
  /** Number of values beyond the range of the code, which were saturated (fp16). */
  readonly saturated: number;
  /** Bytes that were written, if codes vary in size. */
  readonly bytes?: number;
  /** The sum of the squares of the values of a sum, in float64, if it was measured. */
  readonly squares?: number;
  /** The dot products of the rows, in float64, row by row, where they were asked for. */
  readonly products?: readonly number[];
}

/**
 * A codec: `encode` and `decode` work on one chunk that begins at a multiple of `blockSize`, and
 * are exact by docs/spec/codecs.md, which also gives the layout of a coded chunk. Stateless; safe
 * to share.
 */
export interface Codec {
  readonly encoding: Encoding;
  /** A chunk begins at a multiple of this many elements; 1 for the casts. */
  readonly blockSize: number;
  /** Bytes of a coded chunk of `elements`: exactly, or at most if the codec `varies`. */
  encodedBytes(elements: number): number;
  /**
   * Set if the size of a code depends on the values: `encode` then reports its bytes, and `to` may
   * be larger.
   */
  readonly varies?: boolean;
  /** Present only if a tensor must be seen whole before it is coded. */
  prepare?(): Preparation;
  /**
   * Codes `from` into `to` (exactly `encodedBytes`); the same values always give the same bytes.
   * Throws `NonFiniteValue` with the index; the contents of `to` are then undefined.
   */
  encode(from: Float32Array, to: Uint8Array, prepared?: Prepared): EncodeReport;
  /**
   * Decodes `to.length` elements. Throws `bad-manifest` if `from` does not have exactly their size
   * or, with a codec that `varies`, is not a code of that many elements.
   */
  decode(from: Uint8Array, to: Float32Array): void;
  /** Adds with a weight: `into[i] = fround(into[i] + fround(weight * decoded[i]))`. */
  accumulate(from: Uint8Array, weight: number, into: Float32Array): void;
  /**
   * Like `encode`, from the bytes of a dtype (F32, F16, BF16) at any alignment, which need not be
   * widened first. A codec need not have it (`raw-coding.ts`).
   */
  encodeRaw?(from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): EncodeReport;
  /** Like `decode`, to the bytes of a dtype. */
  decodeRaw?(from: Uint8Array, elements: number, to: RawValues): void;
  /** Memory in which the codec works without copying: two to three times as fast as elsewhere. */
  readonly memory?: ChunkMemory;
  /** Set by the SIMD kernels: codec threads have this codec too. */
  readonly onThreads?: boolean;
}

/** Bytes of a tensor's own dtype; float32 arrays are given as their bytes. */
export interface RawValues {
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
}

/** One site's share of a sum: a chunk as it travelled, and its weight. */
export interface WeightedChunk {
  /** Absent if the bytes are those of the dtype itself. */
  readonly codec?: Codec | undefined;
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
  readonly weight: number;
}

/** The use of a finished sum, on the thread that made it. */
export interface CodeStep {
  /** Without a codec the sum is copied as it is. */
  readonly codec?: Codec | undefined;
  /** Exactly `encodedBytes`; if they vary, the report says how many were written. */
  readonly to: Uint8Array;
  readonly prepared?: Prepared | undefined;
  /**
   * Adds the decoded code: `into[i] = fround(into[i] + fround(weight * decoded[i]))`. `into` may be
   * the sum itself.
   */
  readonly addTo?: { readonly into: Float32Array; readonly weight: number } | undefined;
}

/** What is done with a finished sum, on the thread that made it. */
export type AfterSum = CodeStep | OptimizerStep | 'measure';

/** One site's chunk as it travelled: a row, of whose columns a rule makes values. */
export interface CodedRow {
  /** Absent for float32 values as they are, which lie where they would be decoded to. */
  readonly codec?: Codec | undefined;
  readonly bytes: Uint8Array;
}

/** The use of decoded rows. `into` has one value for each column, to which the rule's is added. */
export type ColumnStep =
  /** The mean of a column's values without its `trim` smallest and largest. */
  | { readonly rule: 'middle'; readonly trim: number; readonly into: Float32Array }
  /** The mean of the `keep` values that are nearest to the median of a column. */
  | { readonly rule: 'nearMedian'; readonly keep: number; readonly into: Float32Array }
  /** The dot products of all pairs of rows; each less a row, where that is given. */
  | { readonly rule: 'products'; readonly less?: Float32Array | undefined };

/**
 * Kernels on threads of their own. The calling thread works on codecs that the threads do not have,
 * and on buffers that they cannot reach. Nobody may touch a buffer until the promise is settled.
 */
export interface CodecPool {
  readonly threads: number;
  /** Buffers that the threads can reach. */
  readonly memory: ChunkMemory;
  /** The codecs that the threads have, on the calling thread, over the same memory. */
  readonly codecs: CodecTable;
  /** Codes a chunk. Rejects with `NonFiniteValue` as `Codec.encode` throws it. */
  encode(codec: Codec, from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): Promise<EncodeReport>;
  decode(codec: Codec, from: Uint8Array, elements: number, to: RawValues): Promise<void>;
  accumulate(codec: Codec, from: Uint8Array, weight: number, into: Float32Array): Promise<void>;
  /**
   * Adds the chunks to the sum in their order, on one thread, each as `into[i] = fround(into[i] +
   * fround(weight * decoded[i]))`. With `after`, the same thread codes the sum, measures it (the
   * report then has its `squares`) or makes a step of an optimizer with it. Rejects with
   * `NonFiniteValue` if a sum, or what the step makes of it, is infinite or NaN.
   */
  reduce(chunks: readonly WeightedChunk[], into: Float32Array, after?: AfterSum): Promise<EncodeReport>;
  /**
   * Decodes each row into its part of `decoded` (rows × elements) and works on the columns, on one
   * thread. The values of `decoded` are undefined afterwards. Rejects with `NonFiniteValue` if a
   * value that a rule makes is infinite or NaN.
   */
  columns(rows: readonly CodedRow[], decoded: Float32Array, step: ColumnStep): Promise<EncodeReport>;
  /** Notes that a model begins to stream through the pool; the function returned notes its end. */
  enter(): () => void;
  /**
   * Chunks that each streaming model may have on the pool at once: enough to keep the threads busy,
   * shared fairly, and at least one.
   */
  readonly share: number;
  close(): Promise<void>;
}

/**
 * A number that a codec takes: people write it behind the name (`nf4:128`), and an encoding holds
 * it.
 */
export interface CodecParameter {
  /**
   * `blockSize` stands beside the codec's name in an encoding; every other number is a field of its
   * `parameters`.
   */
  readonly name: string;
  /** Taken if an encoding or a person does not give the number. */
  readonly default: number;
  /**
   * The smallest and the largest value allowed; if they are equal, the number is part of the
   * codec's rule.
   */
  readonly smallest: number;
  readonly largest: number;
  /** `real` is any number in the range. */
  readonly kind: 'real' | 'whole' | 'power of two';
}

/** Properties of a codec's codes that are known without coding anything. */
export interface CodecTraits {
  /**
   * Bits of a code without its scales, or a function of the encoding. `raw` counts as 32, as in
   * most updates.
   */
  readonly bits: number | ((encoding: Encoding) => number);
  /**
   * True if a sender adds what coding lost to its next update (the residual), unless told
   * otherwise. It pays if a code shrinks or loses little at a time; the loss of `u1` and `u2` is
   * large beside the update, and the casts lose next to nothing.
   */
  readonly feedback: boolean;
  /**
   * True if tensors of one dimension are coded too: norms and biases are few, and each of their
   * values counts.
   */
  readonly vectors: boolean;
  /** Codes fill whole groups of this many bytes. */
  readonly groupBytes: number;
  /** Values of the code's map, which bitsandbytes stores with every tensor; 0 if there is none. */
  readonly mapValues: number;
}

/** One codec, of this package or of another. */
export interface CodecRow {
  /** Letters and digits; the name in an encoding, in a job and on the command line. */
  readonly name: string;
  /** In the order in which people write them behind the name. */
  readonly parameters: readonly CodecParameter[];
  /**
   * Set if the block scales may be coded themselves: `nested` in an encoding, `-nested` behind the
   * name.
   */
  readonly nested?: boolean;
  /** True if decoded values can differ: updates are sent then, and whole weights otherwise. */
  readonly lossy: boolean;
  readonly traits: CodecTraits;
  /** The codec of an encoding that has all of its numbers, checked by this row. */
  codec(encoding: Encoding): Codec;
  /**
   * The same codec on the SIMD kernels of this package, bit for bit. Codec threads have only codecs
   * with a kernel; every other codec works on the calling thread. A row that puts another codec
   * under the name leaves this out.
   */
  readonly kernel?: (kernels: Kernels, reference: Codec) => Codec;
}

/** The key under which a table offers its threads for models that are large enough. */
export const CODEC_POOL: unique symbol = Symbol('codec pool');

/**
 * The codecs that a program has; passed to whoever needs them, never registered in a global. `{
 * ...table, mine }` is a table with one more. `fp16` and `bf16` must be those of this package: F16
 * and BF16 tensors are added and cast with them.
 */
export type CodecTable = Readonly<Record<string, CodecRow>> & { readonly [CODEC_POOL]?: () => CodecPool };
