// The codec contract: float32 to bytes and back, a chunk at a time; and a codec as a row of a table.
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import type { Dtype } from '../tensor/dtype.js';
import type { Encoding } from '../tensor/manifest.js';
import type { Kernels } from './kernel-types.js';

/** What a codec learns of a whole tensor before it codes its chunks (nested scales: the mean of the block scales). */
export interface Prepared {
  /** Of nested scales: mean(absmax), accumulated in float64, rounded to float32. */
  readonly offset: number;
}

/** Sees every chunk of a tensor, in order, before the first is coded. */
export interface Preparation {
  push(chunk: Float32Array): void;
  finish(): Prepared;
}

/** Figures of one coded chunk. */
export interface EncodeReport {
  /** Values beyond the range of the code that were saturated (fp16). */
  readonly saturated: number;
  /** Bytes that were written, where codes vary in size. */
  readonly bytes?: number;
}

/**
 * A codec: `encode` and `decode` work on one chunk that begins at a multiple of `blockSize`, and are
 * exact: `docs/spec/codecs.md` has the rules and the layout of a coded chunk. Stateless; safe to
 * share.
 */
export interface Codec {
  readonly encoding: Encoding;
  /** A chunk begins at a multiple of this many elements; 1 for the casts. */
  readonly blockSize: number;
  /** Bytes of a coded chunk of `elements`: exactly, or where `varies` at most. */
  encodedBytes(elements: number): number;
  /** Set where the size of a code depends on the values: `encode` then reports its bytes, and takes what room it is given. */
  readonly varies?: boolean;
  /** Only where a tensor must be seen whole before it is coded. */
  prepare?(): Preparation;
  /**
   * Codes `from` into `to` (exactly `encodedBytes`); the same values always give the same bytes. Throws `NonFiniteValue` with the index;
   * `to` is then undefined.
   */
  encode(from: Float32Array, to: Uint8Array, prepared?: Prepared): EncodeReport;
  /** Decodes `to.length` elements; throws `bad-manifest` where `from` is not exactly their size, or where it `varies` no code of theirs. */
  decode(from: Uint8Array, to: Float32Array): void;
  /** `into[i] = fround(into[i] + fround(weight * decoded[i]))`. */
  accumulate(from: Uint8Array, weight: number, into: Float32Array): void;
  /**
   * As `encode`, from the bytes of a dtype (F32, F16, BF16) at any alignment: saves widening them beforehand. A codec need not
   * have it (`raw-coding.ts`).
   */
  encodeRaw?(from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): EncodeReport;
  /** As `decode`, to the bytes of a dtype. */
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

/** What one site adds to a sum: a chunk as it travelled, and its weight. */
export interface WeightedChunk {
  /** Missing for the bytes of the dtype itself. */
  readonly codec?: Codec | undefined;
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
  readonly weight: number;
}

/** What is done with a sum once it is there, by the thread that made it. */
export interface CodeStep {
  /** Without one the sum is copied as it is. */
  readonly codec?: Codec | undefined;
  /** Exactly `encodedBytes`; where they vary, the report says how many were written. */
  readonly to: Uint8Array;
  readonly prepared?: Prepared | undefined;
  /** `into[i] = fround(into[i] + fround(weight * decoded[i]))`, decoded from what was coded; `into` may be the sum itself. */
  readonly addTo?: { readonly into: Float32Array; readonly weight: number } | undefined;
}

/**
 * Kernels on threads of their own. A codec that the threads do not have, and buffers that they cannot reach, are worked on by the
 * calling thread. Nobody touches a buffer until the promise ends.
 */
export interface CodecPool {
  readonly threads: number;
  /** Buffers that the threads can reach. */
  readonly memory: ChunkMemory;
  /** The codecs that the threads have, on the calling thread, over the same memory. */
  readonly codecs: CodecTable;
  /** Rejects with `NonFiniteValue` as `Codec.encode` throws it. */
  encode(codec: Codec, from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): Promise<EncodeReport>;
  decode(codec: Codec, from: Uint8Array, elements: number, to: RawValues): Promise<void>;
  accumulate(codec: Codec, from: Uint8Array, weight: number, into: Float32Array): Promise<void>;
  /**
   * Adds the chunks to the sum in their order, on one thread: `into[i] = fround(into[i] + fround(weight * decoded[i]))` for each. Rejects with
   * `NonFiniteValue` where a sum is no number. With `code`, the sum is coded by the same thread.
   */
  reduce(chunks: readonly WeightedChunk[], into: Float32Array, code?: CodeStep): Promise<EncodeReport>;
  /** A model begins to stream through the pool; the function returned says that it has ended. */
  enter(): () => void;
  /** Chunks that each model that streams may have on the pool at once: what keeps the threads busy, shared fairly, and at least one. */
  readonly share: number;
  close(): Promise<void>;
}

/** A number that a codec takes: people write it behind the name (`nf4:128`), and an encoding holds it. */
export interface CodecParameter {
  /** `blockSize` stands beside the codec's name in an encoding; every other one is a field of its `parameters`. */
  readonly name: string;
  /** Taken where an encoding or a person says nothing. */
  readonly default: number;
  /** Smallest and largest that are taken; where both are the same, the number is part of the rule. */
  readonly smallest: number;
  readonly largest: number;
  /** `real` is any number in the range. */
  readonly kind: 'real' | 'whole' | 'power of two';
}

/** Properties of a codec's codes that are known without coding anything. */
export interface CodecTraits {
  /** Bits of a code, scales aside, or how they follow from the parameters. `raw` has 32, those of most updates. */
  readonly bits: number | ((encoding: Encoding) => number);
  /**
   * True where a sender adds what coding lost to its next update, unless told otherwise. It pays where a code shrinks or loses
   * little at a time; the loss of `u1` and `u2` is large beside the update, and the casts lose next to nothing.
   */
  readonly feedback: boolean;
  /** True where tensors of one dimension travel in it too: norms and biases are few, and each of their values counts. */
  readonly vectors: boolean;
  /** Codes fill whole groups of so many bytes. */
  readonly groupBytes: number;
  /** Values of the code's map, which bitsandbytes stores with every tensor; 0 where there is none. */
  readonly mapValues: number;
}

/** One codec, here or in another package. */
export interface CodecRow {
  /** Letters and digits; in an encoding, in a job, on the command line. */
  readonly name: string;
  /** In the order in which people write them behind the name. */
  readonly parameters: readonly CodecParameter[];
  /** Its block scales may be coded themselves: `nested` in an encoding, `-nested` behind the name. */
  readonly nested?: boolean;
  /** A value can come back different from how it went in: updates are sent then, and whole weights otherwise. */
  readonly lossy: boolean;
  readonly traits: CodecTraits;
  /** The codec of an encoding whose numbers are all there and were checked by this row. */
  codec(encoding: Encoding): Codec;
  /**
   * The same codec on the SIMD kernels of this package, bit for bit. Codec threads have only codecs with a kernel; every other
   * one works on the calling thread. Who puts another codec under the name leaves it out.
   */
  readonly kernel?: (kernels: Kernels, reference: Codec) => Codec;
}

/** The key under which a table offers its threads for models that are large enough. */
export const CODEC_POOL: unique symbol = Symbol('codec pool');

/**
 * The codecs a program has; given to whoever needs them, never registered in a global. `{ ...table, mine }` is a table with one more.
 * `fp16` and `bf16` must be those of this package: halves and bfloat16 are added and cast with them.
 */
export type CodecTable = Readonly<Record<string, CodecRow>> & { readonly [CODEC_POOL]?: () => CodecPool };
