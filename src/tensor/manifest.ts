// The manifest of a model: name, dtype, shape and encoding of every tensor, without its bytes.
import type { Dtype } from './dtype.js';

/** How the bytes of a tensor are coded. `raw` is the tensor's own dtype, little-endian, C order. */
export interface Encoding {
  /** `raw`, or the name of a codec (`fp16`, `nf4`, `u4`, …). */
  readonly codec: string;
  /** Elements of a block that shares a scale, for the block-wise codecs. */
  readonly blockSize?: number;
  /** True if the block scales are coded themselves (docs/spec/codecs.md, "Nested scales"). */
  readonly nested?: boolean;
  /**
   * Other numbers that a codec takes, by name; the codec's row says which ones, and in which range.
   */
  readonly parameters?: Readonly<Record<string, number>>;
}

/** The encoding of a tensor that is not coded. */
export const RAW: Encoding = { codec: 'raw' };

/** One tensor of a manifest: its name, dtype, shape (row-major, `[]` for a scalar) and encoding. */
export interface TensorEntry {
  readonly name: string;
  /** The tensor's own dtype, which decoding restores, whatever the encoding. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly encoding: Encoding;
}

/**
 * Elements of a chunk: 2^18, so that a chunk of float32 is 1 MiB (the fastest size on the reference
 * machine), and a multiple of every block size (64 × 256 with nested scales), so that every chunk
 * can be decoded alone.
 */
export const CHUNK_ELEMENTS = 262_144;

/**
 * A model without its bytes. The order of `tensors` is the order of their bytes everywhere: in a
 * stream, in a spool, in a reduce. Each tensor is cut into chunks of `chunkElements` elements (the
 * last may be short), each coded alone. So every position follows from the manifest or, for codes
 * that vary in size, from a table of sizes before them.
 */
export interface Manifest {
  readonly tensors: readonly TensorEntry[];
  readonly chunkElements: number;
  /**
   * Names that share another tensor's bytes (alias → name); these bytes are stored and sent once.
   */
  readonly tied: Readonly<Record<string, string>>;
  /** Free text from the file (`__metadata__` of safetensors). */
  readonly metadata: Readonly<Record<string, string>>;
}
