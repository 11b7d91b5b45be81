// The layout of the trainer's one memory, which is made once and never grows.
import { FedStreamError } from '../../core/errors.js';
import type { LlamaConfig } from './config.js';
import { layerName, llamaParameters, type Parameters } from './parameters.js';

/** Largest micro-batch, and the number of threads. */
export interface ArenaSize {
  readonly maxBatch: number;
  readonly maxSequence: number;
  readonly threads: number;
  /**
   * The most micro-batches of a step; not limited by default. With one, a layer's gradients have no
   * values before its backward pass, and their memory holds activations until then.
   */
  readonly microBatches?: number | undefined;
}

/**
 * Byte offsets of one layer's activations; [rows, …] with rows = batch × sequence. The backward pass
 * computes norms, SwiGLU and probabilities again: little work beside the projections, and half of
 * the memory.
 */
export interface LayerArena {
  readonly input: number; // [rows, d]
  readonly rstd: number; // [rows]
  readonly q: number; // [rows, heads, headDim]
  readonly k: number; // [rows, kvHeads, headDim]
  readonly v: number; // [rows, kvHeads, headDim]
  readonly attended: number; // [rows, heads, headDim]
  readonly middle: number; // [rows, d]
  readonly middleRstd: number; // [rows]
  readonly gate: number; // [rows, ffn]
  readonly up: number; // [rows, ffn]
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
  /** True if the gradients of all layers but the last hold activations of the next layer. */
  readonly sharesGradients: boolean;
  /** One layer's at a time. */
  readonly normed: number; // [rows, d]
  readonly product: number; // [rows, ffn]
  readonly output: number; // [rows, d]
  readonly outputNormed: number; // [rows, d]
  readonly outputRstd: number; // [rows]
  readonly gathered: number; // [rows, d]
  readonly logits: number; // [at most HEAD_ROWS, vocabulary]
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
  /** For each thread: packing buffers of the matrix kernel; one head's probabilities, and the gradients of its scores. */
  readonly scratch: readonly number[];
  readonly probabilities: readonly number[]; // [sequence, sequence]
  readonly scores: readonly number[]; // [sequence, sequence]
  readonly totalBytes: number;
}

/** wasm32 ends at 4 GiB; the last page is left out so that every offset is an int32 times 4. */
export const MAX_ARENA_BYTES = 65_535 * 65_536;
/** Size of the packing buffers, as assembly/llama/gemm.ts needs them. */
const GEMM_SCRATCH_BYTES = (64 * 256 + 512 * 256 + 5 * 8) * 4;
/**
 * Rows whose logits are in memory at a time. A block of the matrix kernel's sums has as many, so
 * that the gradient of the head is the same, to the bit, as from all rows at once.
 */
export const HEAD_ROWS = 256;
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
  const state = {
    parameters,
    control: floats(64),
    weights: floats(parameters.total),
    gradients: floats(parameters.total),
    firstMoments: floats(parameters.total),
    secondMoments: floats(parameters.total),
  };
  const sharesGradients = size.microBatches === 1;
  const layer = (index: number): LayerArena => {
    // What the room of the layer before does not take has memory of its own.
    const room = layerGradients(parameters, sharesGradients ? index - 1 : -1);
    let next = state.gradients + room.first * 4;
    const kept = (count: number): number => {
      const bytes = Math.ceil((count * 4) / 64) * 64;
      if (next + bytes > state.gradients + room.end * 4) return floats(count);
      next += bytes;
      return next - bytes;
    };
    const headKept = (count: number): number => (config.qkNorm ? kept(count) : 0);
    return {
      gate: kept(rows * f),
      up: kept(rows * f),
      input: kept(rows * d),
      rstd: kept(rows),
      q: kept(rows * heads * headDim),
      k: kept(rows * kvHeads * headDim),
      v: kept(rows * kvHeads * headDim),
      attended: kept(rows * heads * headDim),
      middle: kept(rows * d),
      middleRstd: kept(rows),
      rawQ: headKept(rows * heads * headDim),
      rawK: headKept(rows * kvHeads * headDim),
      qRstd: headKept(rows * heads),
      kRstd: headKept(rows * kvHeads),
    };
  };
  const headFloats = (count: number): number => (config.qkNorm ? floats(count) : 0);
  const headPartials = config.qkNorm ? Math.ceil((rows * heads) / 16) * headDim : 0;
  const arena = {
    ...state,
    sharesGradients,
    tokens: floats(rows),
    targets: floats(rows),
    targetRows: floats(rows),
    rotary: floats(maxSequence * headDim),
    layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
    normed: floats(rows * d),
    product: floats(rows * f),
    output: floats(rows * d),
    outputNormed: floats(rows * d),
    outputRstd: floats(rows),
    gathered: floats(rows * d),
    logits: floats(Math.min(rows, HEAD_ROWS) * vocabularySize),
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
    probabilities: Array.from({ length: threads }, () => floats(maxSequence * maxSequence)),
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

/** The elements of a layer's parameters, with what fills up to the next layer's; none for layer -1. */
export function layerGradients({ at }: Parameters, layer: number): { readonly first: number; readonly end: number } {
  if (layer < 0) return { first: 0, end: 0 };
  const startOf = (index: number): number => at(layerName(index, 'self_attn.q_proj'));
  return { first: startOf(layer), end: startOf(layer + 1) };
}
