// What a model consists of: name, dtype, shape and encoding of every tensor, without its bytes.
import type { Dtype } from './dtype.js';

/** How the bytes of a tensor are coded. `raw` is the tensor's own dtype, little-endian, C order. */
export interface Encoding {
  /** `raw`, or the name of a codec (`fp16`, `nf4`, `u4`, …). */
  readonly codec: string;
  /** Elements a scale block, for the block-wise codecs. */
  readonly blockSize?: number;
  /** Whether the block scales are themselves coded (docs/spec/codecs.md, nested scales). */
  readonly nested?: boolean;
  /** Numbers that a codec takes beside these, by name; which ones there are, and in which range, is the codec's to say. */
  readonly parameters?: Readonly<Record<string, number>>;
}

/** The encoding of a tensor that is not coded. */
export const RAW: Encoding = { codec: 'raw' };

/** One tensor of a manifest: its name, dtype, shape (row-major, `[]` for a scalar) and encoding. */
export interface TensorEntry {
  readonly name: string;
  /** The tensor's own dtype: what decoding gives back, whatever the encoding. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly encoding: Encoding;
}

/**
 * The elements of a chunk: 2^18, so that a chunk of float32 is 1 MiB (the fastest size on the reference machine), and a
 * multiple of every block size (64 × 256 with nested scales), so that every chunk can be decoded alone.
 */
export const CHUNK_ELEMENTS = 262_144;

/**
 * A model without its bytes. The order of `tensors` is the order of its bytes everywhere: in a stream, in a spool, in a reduce.
 * Each tensor is cut into chunks of `chunkElements` elements (the last may be short), each coded alone, so every position is
 * known from the manifest, and of codes that vary in size from a table of sizes before them.
 */
export interface Manifest {
  readonly tensors: readonly TensorEntry[];
  readonly chunkElements: number;
  /** Names that share another tensor's bytes (alias → name): stored and sent once. */
  readonly tied: Readonly<Record<string, string>>;
  /** Free text from the file (`__metadata__` of safetensors). */
  readonly metadata: Readonly<Record<string, string>>;
}
