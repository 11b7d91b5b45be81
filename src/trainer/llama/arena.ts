// The layout of the trainer's one memory, which is made once and never grows.
import { FedStreamError } from '../../core/errors.js';
import type { LlamaConfig } from './config.js';
import { llamaParameters, type Parameters } from './parameters.js';

/** Largest micro-batch, and the number of threads. */
export interface ArenaSize {
  readonly maxBatch: number;
  readonly maxSequence: number;
  readonly threads: number;
}

/** Byte offsets of one layer's activations; [rows, …] with rows = batch × sequence. */
export interface LayerArena {
  readonly input: number; // [rows, d]
  readonly normed: number; // [rows, d]
  readonly rstd: number; // [rows]
  readonly q: number; // [rows, heads, headDim]
  readonly k: number; // [rows, kvHeads, headDim]
  readonly v: number; // [rows, kvHeads, headDim]
  readonly probabilities: number; // [batch, heads, sequence, sequence]
  readonly attended: number; // [rows, heads, headDim]
  readonly middle: number; // [rows, d]
  readonly middleNormed: number; // [rows, d]
  readonly middleRstd: number; // [rows]
  readonly gate: number; // [rows, ffn]
  readonly up: number; // [rows, ffn]
  readonly product: number; // [rows, ffn]
  /** With norms of q and k: both before their norm; otherwise 0, and no memory. */
  readonly rawQ: number; // [rows, heads, headDim]
  readonly rawK: number; // [rows, kvHeads, headDim]
  readonly qRstd: number; // [rows, heads]
  readonly kRstd: number; // [rows, kvHeads]
}

/** Byte offsets of all arrays. */
export interface Arena {
  readonly parameters: Parameters;
  readonly control: number; // int32 words of barrier and commands
  readonly weights: number;
  readonly gradients: number;
  readonly firstMoments: number;
  readonly secondMoments: number;
  readonly tokens: number; // int32 [rows]
  readonly targets: number; // int32 [rows], of the rows that have one
  readonly targetRows: number; // int32 [rows]
  readonly rotary: number; // [sequence, headDim / 2, 2]
  readonly layers: readonly LayerArena[];
  readonly output: number; // [rows, d]
  readonly outputNormed: number; // [rows, d]
  readonly outputRstd: number; // [rows]
  readonly gathered: number; // [rows, d]
  readonly logits: number; // [rows, vocabulary]
  readonly figures: number; // [rows, 4]
  readonly dx: number; // [rows, d]
  readonly dNormed: number; // [rows, d]
  readonly dq: number;
  readonly dk: number;
  readonly dv: number;
  readonly dRawQ: number;
  readonly dRawK: number;
  readonly dAttended: number;
  readonly dProduct: number; // [rows, ffn]
  readonly normPartials: number; // [rows / 16, d], or those of the heads' norms if they are larger
  readonly squarePartials: number; // float64 [total / 4096]
  /** For each thread: packing buffers of the matrix kernel, and one head's score gradients. */
  readonly scratch: readonly number[];
  readonly scores: readonly number[]; // [sequence, sequence]
  readonly totalBytes: number;
}

/** wasm32 ends at 4 GiB; the last page is left out so that every offset is an int32 times 4. */
export const MAX_ARENA_BYTES = 65_535 * 65_536;
/** Size of the packing buffers, as assembly/llama/gemm.ts needs them. */
const GEMM_SCRATCH_BYTES = (64 * 256 + 512 * 256 + 4 * 8) * 4;
/** Room for the module's own static data, at the beginning. */
const RESERVED_BYTES = 64 * 1024;
/** Gradients whose squares are summed into one part. */
export const SQUARES_CHUNK = 4096;

/** Lays out the memory; throws `limit` if the model does not fit into 4 GiB. */
export function layOutArena(config: LlamaConfig, size: ArenaSize): Arena {
  const { hiddenSize: d, heads, kvHeads, headDim, ffnSize: f, vocabularySize } = config;
  const parameters = llamaParameters(config);
  const { maxBatch, maxSequence, threads } = size;
  const rows = maxBatch * maxSequence;
  let at = RESERVED_BYTES;
  const floats = (count: number): number => {
    const start = at;
    at += Math.ceil((count * 4) / 64) * 64;
    return start;
  };
  const headFloats = (count: number): number => (config.qkNorm ? floats(count) : 0);
  const layer = (): LayerArena => ({
    input: floats(rows * d),
    normed: floats(rows * d),
    rstd: floats(rows),
    q: floats(rows * heads * headDim),
    k: floats(rows * kvHeads * headDim),
    v: floats(rows * kvHeads * headDim),
    probabilities: floats(maxBatch * heads * maxSequence * maxSequence),
    attended: floats(rows * heads * headDim),
    middle: floats(rows * d),
    middleNormed: floats(rows * d),
    middleRstd: floats(rows),
    gate: floats(rows * f),
    up: floats(rows * f),
    product: floats(rows * f),
    rawQ: headFloats(rows * heads * headDim),
    rawK: headFloats(rows * kvHeads * headDim),
    qRstd: headFloats(rows * heads),
    kRstd: headFloats(rows * kvHeads),
  });
  const headPartials = config.qkNorm ? Math.ceil((rows * heads) / 16) * headDim : 0;
  const arena = {
    parameters,
    control: floats(64),
    weights: floats(parameters.total),
    gradients: floats(parameters.total),
    firstMoments: floats(parameters.total),
    secondMoments: floats(parameters.total),
    tokens: floats(rows),
    targets: floats(rows),
    targetRows: floats(rows),
    rotary: floats(maxSequence * headDim),
    layers: Array.from({ length: config.layers }, layer),
    output: floats(rows * d),
    outputNormed: floats(rows * d),
    outputRstd: floats(rows),
    gathered: floats(rows * d),
    logits: floats(rows * vocabularySize),
    figures: floats(rows * 4),
    dx: floats(rows * d),
    dNormed: floats(rows * d),
    dq: floats(rows * heads * headDim),
    dk: floats(rows * kvHeads * headDim),
    dv: floats(rows * kvHeads * headDim),
    dRawQ: headFloats(rows * heads * headDim),
    dRawK: headFloats(rows * kvHeads * headDim),
    dAttended: floats(rows * heads * headDim),
    dProduct: floats(rows * f),
    normPartials: floats(Math.max(Math.ceil(rows / 16) * d, headPartials)),
    squarePartials: floats(Math.ceil(parameters.total / SQUARES_CHUNK) * 2),
    scratch: Array.from({ length: threads }, () => floats(GEMM_SCRATCH_BYTES / 4)),
    scores: Array.from({ length: threads }, () => floats(maxSequence * maxSequence)),
  };
  if (at > MAX_ARENA_BYTES) {
    const gib = (at / 2 ** 30).toFixed(1);
    throw new FedStreamError(
      'limit',
      `training this model needs ${gib} GiB, and the built-in trainer has 4; use a smaller batchSize or maxTokens, or a smaller model`,
    );
  }
  return { ...arena, totalBytes: at };
}
