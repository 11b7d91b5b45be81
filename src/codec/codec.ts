// The codec contract: float32 to bytes and back, a chunk at a time.
import type { ChunkMemory } from '../tensor/chunk-memory.js';
import type { Dtype } from '../tensor/dtype.js';
import type { Encoding } from '../tensor/manifest.js';

/** What a codec learns of a whole tensor before it codes its chunks (nested scales: the mean of the block scales). */
export interface Prepared {
  /** CODECS, nested scales: mean(absmax), accumulated in float64, rounded to float32. */
  readonly offset: number;
}

/** Sees every chunk of a tensor, in order, before the first is coded. */
export interface Preparation {
  push(chunk: Float32Array): void;
  finish(): Prepared;
}

export interface EncodeReport {
  /** Values beyond the range of the code that were saturated (fp16). */
  readonly saturated: number;
}

/**
 * A codec: `encode` and `decode` work on one chunk that begins at a multiple of `blockSize` and are exact by CODECS.md.
 * Layout of a coded chunk: `docs/spec/codecs.md`. Stateless; safe to share.
 */
export interface Codec {
  readonly encoding: Encoding;
  /** A chunk begins at a multiple of this many elements; 1 for the casts. */
  readonly blockSize: number;
  /** Exact bytes of a coded chunk of `elements`. */
  encodedBytes(elements: number): number;
  /** Only where a tensor must be seen whole before it is coded. */
  prepare?(): Preparation;
  /** Codes `from` into `to` (exactly `encodedBytes`). Throws `non-finite` with the index in its message; `to` is then undefined. */
  encode(from: Float32Array, to: Uint8Array, prepared?: Prepared): EncodeReport;
  /** Decodes `to.length` elements; throws `bad-manifest` where `from` is not exactly their size. */
  decode(from: Uint8Array, to: Float32Array): void;
  /** `into[i] = fround(into[i] + fround(weight * decoded[i]))`. */
  accumulate(from: Uint8Array, weight: number, into: Float32Array): void;
  /** As `encode`, from the bytes of a dtype (F32, F16, BF16) at any alignment: saves widening them beforehand. Only where a codec can. */
  encodeRaw?(from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): EncodeReport;
  /** As `decode`, to the bytes of a dtype. */
  decodeRaw?(from: Uint8Array, elements: number, to: RawValues): void;
  /** Memory in which the codec works without copying: two to three times as fast as elsewhere. */
  readonly memory?: ChunkMemory;
}

/** Bytes of a tensor's own dtype; float32 arrays are given as their bytes. */
export interface RawValues {
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
}

/** What one site adds to a sum: a chunk as it travelled, and its weight. */
export interface WeightedChunk {
  /** `raw` for the bytes of the dtype itself. */
  readonly encoding: Encoding;
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
  readonly weight: number;
}

/** What is done with a sum once it is there, by the thread that made it. */
export interface CodeStep {
  /** `raw` copies the sum as it is. */
  readonly encoding: Encoding;
  readonly to: Uint8Array;
  readonly prepared?: Prepared | undefined;
  /** `into[i] = fround(into[i] + fround(weight * decoded[i]))`, decoded from what was coded; `into` may be the sum itself. */
  readonly addTo?: { readonly into: Float32Array; readonly weight: number } | undefined;
}

/** Kernels on threads of their own. Nobody touches a buffer until the promise ends. */
export interface CodecPool {
  readonly threads: number;
  /** Buffers that the threads can reach; work on others is done on the calling thread. */
  readonly memory: ChunkMemory;
  /** The same codecs on the calling thread, over the same memory. */
  readonly codecs: CodecTable;
  /** Rejects with `NonFiniteValue` as `Codec.encode` throws it. */
  encode(encoding: Encoding, from: RawValues, elements: number, to: Uint8Array, prepared?: Prepared): Promise<EncodeReport>;
  decode(encoding: Encoding, from: Uint8Array, elements: number, to: RawValues): Promise<void>;
  accumulate(encoding: Encoding, from: Uint8Array, weight: number, into: Float32Array): Promise<void>;
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

/** The key under which a table offers its threads for models that are large enough. */
export const CODEC_POOL: unique symbol = Symbol('codec pool');

/** The codecs a program has, by name; given to whoever needs them, never registered in a global. */
export type CodecTable = Readonly<Record<string, (encoding: Encoding) => Codec>> & { readonly [CODEC_POOL]?: () => CodecPool };
