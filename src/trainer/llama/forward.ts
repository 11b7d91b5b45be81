// The forward pass; every thread runs it on its share.
import type { Arena, LayerArena } from './arena.js';
import { ATTENTION_ROWS, firstColumn, softmaxWindow } from './attention-window.js';
import type { LlamaConfig } from './config.js';
import type { LlamaKernels } from './kernels.js';
import { biasName, EMBEDDING, FINAL_NORM, layerName } from './parameters.js';
import { share, type Team } from './team.js';

/** Everything that a thread works with. */
export interface Program {
  readonly config: LlamaConfig;
  readonly arena: Arena;
  readonly kernels: LlamaKernels;
  readonly team: Team;
}

/** Sizes of the current micro-batch; its tokens and targets lie in the arena. */
export interface MicroBatch {
  readonly batch: number;
  readonly sequence: number;
  /** Rows that have a target. */
  readonly targets: number;
}

/** Byte offset of a parameter. */
export function weight({ arena }: Program, name: string): number {
  return arena.weights + arena.parameters.at(name) * 4;
}

/** y [rows, n] = x [rows, k] · w [n, k]ᵀ, this thread's rows. */
export function linear(program: Program, x: number, w: number, y: number, rows: number, n: number, k: number): void {
  const { kernels, arena, team } = program;
  const [first, end] = share(team, rows, 4);
  if (end > first)
    kernels.gemm(x + first * k * 4, k, 1, w, 1, k, y + first * n * 4, n, end - first, n, k, 0, arena.scratch[team.index] as number);
}

/** The projection of a layer's part, with its bias if it has one; this thread's rows. */
function project(
  program: Program,
  x: number,
  layer: number,
  part: string,
  y: number,
  rows: number,
  n: number,
  k: number,
  bias = false,
): void {
  linear(program, x, weight(program, layerName(layer, part)), y, rows, n, k);
  const [first, end] = share(program.team, rows, 4);
  if (bias) program.kernels.addBias(y, weight(program, biasName(layer, part)), first, end, n);
}

/** Computes the normed output of the last layer, [rows, d], from the tokens. */
export function forward(program: Program, micro: MicroBatch): void {
  const { arena, kernels, team, config } = program;
  const { hiddenSize: d } = config;
  const rows = micro.batch * micro.sequence;
  const [first, end] = share(team, rows, 4);
  const input = (arena.layers[0] as LayerArena).input;
  kernels.gatherRows(weight(program, EMBEDDING), arena.tokens, input, first, end, d);
  team.barrier();
  for (const [index, layer] of arena.layers.entries()) {
    attentionBlock(program, micro, layer, index);
    feedForwardBlock(program, micro, layer, index, arena.layers[index + 1]?.input ?? arena.output);
  }
  kernels.rmsNorm(arena.output, weight(program, FINAL_NORM), arena.outputNormed, arena.outputRstd, first, end, d, config.rmsEps);
  team.barrier();
}

function attentionBlock(program: Program, micro: MicroBatch, layer: LayerArena, index: number): void {
  const { arena, kernels, team, config } = program;
  const { hiddenSize: d, heads, kvHeads, headDim, qkvBias, outputBias, qkNorm, rmsEps } = config;
  const rows = micro.batch * micro.sequence;
  const [first, end] = share(team, rows, 4);
  kernels.rmsNorm(
    layer.input,
    weight(program, layerName(index, 'input_layernorm')),
    arena.normed,
    layer.rstd,
    first,
    end,
    d,
    config.rmsEps,
  );
  const [q, k] = qkNorm ? [layer.rawQ, layer.rawK] : [layer.q, layer.k];
  project(program, arena.normed, index, 'self_attn.q_proj', q, rows, heads * headDim, d, qkvBias);
  project(program, arena.normed, index, 'self_attn.k_proj', k, rows, kvHeads * headDim, d, qkvBias);
  project(program, arena.normed, index, 'self_attn.v_proj', layer.v, rows, kvHeads * headDim, d, qkvBias);
  if (qkNorm) {
    const norm = (part: string): number => weight(program, layerName(index, `self_attn.${part}`));
    kernels.rmsNorm(q, norm('q_norm'), layer.q, layer.qRstd, first * heads, end * heads, headDim, rmsEps);
    kernels.rmsNorm(k, norm('k_norm'), layer.k, layer.kRstd, first * kvHeads, end * kvHeads, headDim, rmsEps);
  }
  if (!config.unrotated?.[index]) {
    kernels.rotate(layer.q, arena.rotary, first, end, micro.sequence, heads, headDim, 1);
    kernels.rotate(layer.k, arena.rotary, first, end, micro.sequence, kvHeads, headDim, 1);
  }
  team.barrier();
  const [firstHead, endHead] = share(team, micro.batch * heads);
  for (let unit = firstHead; unit < endHead; unit++)
    attend(program, micro, layer, Math.floor(unit / heads), unit % heads, config.windows?.[index]);
  team.barrier();
  project(program, layer.attended, index, 'self_attn.o_proj', layer.middle, rows, d, heads * headDim, outputBias);
  kernels.addTo(layer.middle, layer.input, first * d, end * d);
}

/** One head of one sequence: softmax(q kᵀ / √headDim) v. */
function attend(program: Program, micro: MicroBatch, layer: LayerArena, sequenceIndex: number, head: number, window?: number): void {
  const { arena, kernels, team, config } = program;
  const { heads, kvHeads, headDim } = config;
  const length = micro.sequence;
  const scratch = arena.scratch[team.index] as number;
  const [queryStride, keyStride] = [heads * headDim, kvHeads * headDim];
  const at = headPlaces(config, layer, sequenceIndex, head, length);
  for (let row = 0; row < length; row += ATTENTION_ROWS) {
    const end = Math.min(row + ATTENTION_ROWS, length);
    const left = firstColumn(row, window);
    const [rows, width] = [end - row, end - left];
    probabilitiesOf(program, at, row, length, window);
    const scores = (arena.probabilities[team.index] as number) + (row * length + left) * 4;
    const to = at.attended + row * queryStride * 4;
    const values = at.v + left * keyStride * 4;
    kernels.gemm(scores, length, 1, values, keyStride, 1, to, queryStride, rows, headDim, width, 0, scratch);
  }
}

/** Those of a block of rows from `row` on, of one head of one sequence, to this thread's memory for them. */
export function probabilitiesOf(
  { arena, kernels, team, config }: Program,
  at: { readonly q: number; readonly k: number },
  row: number,
  length: number,
  window: number | undefined,
): void {
  const { heads, kvHeads, headDim } = config;
  const [queryStride, keyStride] = [heads * headDim, kvHeads * headDim];
  const end = Math.min(row + ATTENTION_ROWS, length);
  const left = firstColumn(row, window);
  const probabilities = arena.probabilities[team.index] as number;
  const scores = probabilities + (row * length + left) * 4;
  const [q, keys] = [at.q + row * queryStride * 4, at.k + left * keyStride * 4];
  const scratch = arena.scratch[team.index] as number;
  kernels.gemm(q, queryStride, 1, keys, 1, keyStride, scores, length, end - row, end - left, headDim, 0, scratch);
  softmaxWindow(kernels, probabilities, length, row, end, left, window, 1 / Math.sqrt(headDim));
}

/** Byte offsets of one head of one sequence. */
export function headPlaces(config: LlamaConfig, layer: LayerArena, sequenceIndex: number, head: number, length: number) {
  const { heads, kvHeads, headDim } = config;
  const kvHead = Math.floor(head / (heads / kvHeads));
  const query = (sequenceIndex * length * heads + head) * headDim * 4;
  const key = (sequenceIndex * length * kvHeads + kvHead) * headDim * 4;
  return {
    query,
    key,
    q: layer.q + query,
    k: layer.k + key,
    v: layer.v + key,
    attended: layer.attended + query,
  };
}

function feedForwardBlock(program: Program, micro: MicroBatch, layer: LayerArena, index: number, output: number): void {
  const { arena, kernels, team, config } = program;
  const { hiddenSize: d, ffnSize: f, mlpBias } = config;
  const rows = micro.batch * micro.sequence;
  const [first, end] = share(team, rows, 4);
  kernels.rmsNorm(
    layer.middle,
    weight(program, layerName(index, 'post_attention_layernorm')),
    arena.normed,
    layer.middleRstd,
    first,
    end,
    d,
    config.rmsEps,
  );
  project(program, arena.normed, index, 'mlp.gate_proj', layer.gate, rows, f, d, mlpBias);
  project(program, arena.normed, index, 'mlp.up_proj', layer.up, rows, f, d, mlpBias);
  kernels.swiglu(layer.gate, layer.up, arena.product, first * f, end * f);
  project(program, arena.product, index, 'mlp.down_proj', output, rows, d, f, mlpBias);
  kernels.addTo(output, layer.middle, first * d, end * d);
  // The next block works on the same rows, so that it needs no barrier.
}
