// The backward pass, derived by hand; every thread runs it on its share. Weight gradients
// accumulate.
import { type LayerArena, layerGradients } from './arena.js';
import { ATTENTION_ROWS, endRow, firstColumn } from './attention-window.js';
import { headPlaces, type MicroBatch, type Program, probabilitiesOf, weight } from './forward.js';
import { biasName, EMBEDDING, FINAL_NORM, layerName } from './parameters.js';
import { share } from './team.js';

function gradient({ arena }: Program, name: string): number {
  return arena.gradients + arena.parameters.at(name) * 4;
}

/** dx [rows, k] (+)= dy [rows, n] · w [n, k], this thread's rows. */
function backInput(program: Program, dy: number, w: number, dx: number, rows: number, n: number, k: number, accumulate: number): void {
  const { kernels, arena, team } = program;
  const [first, end] = share(team, rows, 4);
  if (end > first)
    kernels.gemm(
      dy + first * n * 4,
      n,
      1,
      w,
      k,
      1,
      dx + first * k * 4,
      k,
      end - first,
      k,
      n,
      accumulate,
      arena.scratch[team.index] as number,
    );
}

/** dw [n, k] += dy [rows, n]ᵀ · x [rows, k], this thread's rows of dw. */
function backWeight(program: Program, dy: number, x: number, dw: number, rows: number, n: number, k: number): void {
  const { kernels, arena, team } = program;
  const [first, end] = share(team, n, 4);
  if (end > first)
    kernels.gemm(dy + first * 4, 1, n, x, k, 1, dw + first * k * 4, k, end - first, k, rows, 1, arena.scratch[team.index] as number);
}

/** db [n] += the sum of dy [rows, n] over its rows, this thread's columns; if the part has a bias. */
function backBias(program: Program, dy: number, layer: number, part: string, rows: number, n: number, bias = false): void {
  const [first, end] = share(program.team, n, 4);
  if (bias) program.kernels.sumRows(dy, gradient(program, biasName(layer, part)), rows, first, end, n);
}

/** Gradient of an RMSNorm over rows of d: adds to dx and to the norm's weight. Ends at a barrier. */
function backNorm(program: Program, x: number, name: string, dy: number, rstd: number, rows: number, d: number, dx: number): void {
  const { kernels, arena, team } = program;
  const chunks = Math.ceil(rows / 16);
  const [first, end] = share(team, chunks);
  kernels.rmsNormBackward(x, weight(program, name), dy, rstd, dx, arena.normPartials, first, end, rows, d);
  team.barrier();
  const [firstColumn, endColumn] = share(team, d);
  kernels.sumRows(arena.normPartials, gradient(program, name), chunks, firstColumn, endColumn, d);
  team.barrier();
}

/** Computes the gradient of every weight from that of the head's input, which lies in `gathered`. */
export function backward(program: Program, micro: MicroBatch): void {
  const { arena, kernels, team, config } = program;
  const { hiddenSize: d } = config;
  const rows = micro.batch * micro.sequence;
  const [first, end] = share(team, rows * d, 16);
  kernels.fill(arena.dNormed, first, end);
  kernels.fill(arena.dx, first, end);
  team.barrier();
  const [firstTarget, endTarget] = share(team, micro.targets, 4);
  kernels.scatterRows(arena.gathered, arena.targetRows, arena.dNormed, firstTarget, endTarget, d);
  team.barrier();
  backNorm(program, arena.output, FINAL_NORM, arena.dNormed, arena.outputRstd, rows, d, arena.dx);
  for (let index = arena.layers.length - 1; index >= 0; index--) {
    const layer = arena.layers[index] as LayerArena;
    backFeedForward(program, micro, layer, index);
    backAttention(program, micro, layer, index);
  }
  const [firstColumn, endColumn] = share(team, d, 4);
  const { padToken = -1 } = config;
  kernels.scatterAddColumns(arena.dx, arena.tokens, gradient(program, EMBEDDING), rows, firstColumn, endColumn, d, padToken);
  team.barrier();
}

/**
 * dx holds the gradient of the block's output, and afterwards that of its input; the residual
 * connection passes it on unchanged.
 */
function backFeedForward(program: Program, micro: MicroBatch, layer: LayerArena, index: number): void {
  const { arena, kernels, team, config } = program;
  const { hiddenSize: d, ffnSize: f, mlpBias } = config;
  const rows = micro.batch * micro.sequence;
  const name = (part: string): string => layerName(index, `mlp.${part}`);
  // The activations that lay in this layer's gradients are used up.
  if (arena.sharesGradients && index < config.layers - 1) zeroLayer(program, index);
  const [first, end] = share(team, rows, 4);
  kernels.swiglu(layer.gate, layer.up, arena.product, first * f, end * f);
  backInput(program, arena.dx, weight(program, name('down_proj')), arena.dProduct, rows, d, f, 0);
  team.barrier();
  backWeight(program, arena.dx, arena.product, gradient(program, name('down_proj')), rows, d, f);
  backBias(program, arena.dx, index, 'mlp.down_proj', rows, d, mlpBias);
  kernels.swigluBackward(layer.gate, layer.up, arena.dProduct, first * f, end * f);
  backInput(program, layer.gate, weight(program, name('gate_proj')), arena.dNormed, rows, f, d, 0);
  backInput(program, layer.up, weight(program, name('up_proj')), arena.dNormed, rows, f, d, 1);
  const norm = weight(program, layerName(index, 'post_attention_layernorm'));
  kernels.rmsNorm(layer.middle, norm, arena.normed, layer.middleRstd, first, end, d, config.rmsEps);
  team.barrier();
  backWeight(program, layer.gate, arena.normed, gradient(program, name('gate_proj')), rows, f, d);
  backWeight(program, layer.up, arena.normed, gradient(program, name('up_proj')), rows, f, d);
  backBias(program, layer.gate, index, 'mlp.gate_proj', rows, f, mlpBias);
  backBias(program, layer.up, index, 'mlp.up_proj', rows, f, mlpBias);
  backNorm(program, layer.middle, layerName(index, 'post_attention_layernorm'), arena.dNormed, layer.middleRstd, rows, d, arena.dx);
}

function zeroLayer({ arena, kernels, team }: Program, index: number): void {
  const { first, end } = layerGradients(arena.parameters, index);
  const [firstOwn, endOwn] = share(team, end - first, 16);
  kernels.fill(arena.gradients, first + firstOwn, first + endOwn);
}

function backAttention(program: Program, micro: MicroBatch, layer: LayerArena, index: number): void {
  const { arena, kernels, team, config } = program;
  const { hiddenSize: d, heads, kvHeads, headDim, qkvBias, outputBias } = config;
  const rows = micro.batch * micro.sequence;
  const name = (part: string): string => layerName(index, `self_attn.${part}`);
  backInput(program, arena.dx, weight(program, name('o_proj')), arena.dAttended, rows, d, heads * headDim, 0);
  backWeight(program, arena.dx, layer.attended, gradient(program, name('o_proj')), rows, d, heads * headDim);
  backBias(program, arena.dx, index, 'self_attn.o_proj', rows, d, outputBias);
  team.barrier();
  const [firstUnit, endUnit] = share(team, micro.batch * kvHeads);
  for (let unit = firstUnit; unit < endUnit; unit++)
    backHeads(program, micro, layer, Math.floor(unit / kvHeads), unit % kvHeads, config.windows?.[index]);
  team.barrier();
  const [dq, dk] = backRotation(program, micro, layer, index);
  backInput(program, dq, weight(program, name('q_proj')), arena.dNormed, rows, heads * headDim, d, 0);
  backInput(program, dk, weight(program, name('k_proj')), arena.dNormed, rows, kvHeads * headDim, d, 1);
  backInput(program, arena.dv, weight(program, name('v_proj')), arena.dNormed, rows, kvHeads * headDim, d, 1);
  const [first, end] = share(team, rows, 4);
  const norm = weight(program, layerName(index, 'input_layernorm'));
  kernels.rmsNorm(layer.input, norm, arena.normed, layer.rstd, first, end, d, config.rmsEps);
  team.barrier();
  backWeight(program, dq, arena.normed, gradient(program, name('q_proj')), rows, heads * headDim, d);
  backWeight(program, dk, arena.normed, gradient(program, name('k_proj')), rows, kvHeads * headDim, d);
  backWeight(program, arena.dv, arena.normed, gradient(program, name('v_proj')), rows, kvHeads * headDim, d);
  backBias(program, dq, index, 'self_attn.q_proj', rows, heads * headDim, qkvBias);
  backBias(program, dk, index, 'self_attn.k_proj', rows, kvHeads * headDim, qkvBias);
  backBias(program, arena.dv, index, 'self_attn.v_proj', rows, kvHeads * headDim, qkvBias);
  backNorm(program, layer.input, layerName(index, 'input_layernorm'), arena.dNormed, layer.rstd, rows, d, arena.dx);
}

/**
 * From the gradients of q and k as attention sees them to those of the projections, back through
 * rotation and norms; returns the places of both.
 */
function backRotation(program: Program, micro: MicroBatch, layer: LayerArena, index: number): readonly [dq: number, dk: number] {
  const { arena, kernels, team, config } = program;
  const { heads, kvHeads, headDim } = config;
  const rows = micro.batch * micro.sequence;
  const [first, end] = share(team, rows, 4);
  if (!config.unrotated?.[index]) {
    kernels.rotate(arena.dq, arena.rotary, first, end, micro.sequence, heads, headDim, -1);
    kernels.rotate(arena.dk, arena.rotary, first, end, micro.sequence, kvHeads, headDim, -1);
  }
  if (!config.qkNorm) return [arena.dq, arena.dk];
  kernels.fill(arena.dRawQ, first * heads * headDim, end * heads * headDim);
  kernels.fill(arena.dRawK, first * kvHeads * headDim, end * kvHeads * headDim);
  // The norms of heads are shared out in other pieces than the rows.
  team.barrier();
  const name = (part: string): string => layerName(index, `self_attn.${part}`);
  backNorm(program, layer.rawQ, name('q_norm'), arena.dq, layer.qRstd, rows * heads, headDim, arena.dRawQ);
  backNorm(program, layer.rawK, name('k_norm'), arena.dk, layer.kRstd, rows * kvHeads, headDim, arena.dRawK);
  return [arena.dRawQ, arena.dRawK];
}

/**
 * All query heads that share a key and value head of a sequence, in order, since their gradients of
 * k and v add up.
 */
function backHeads(program: Program, micro: MicroBatch, layer: LayerArena, sequenceIndex: number, kvHead: number, window?: number): void {
  const { arena, kernels, team, config } = program;
  const { heads, kvHeads, headDim } = config;
  const length = micro.sequence;
  const scratch = arena.scratch[team.index] as number;
  const ds = arena.scores[team.index] as number;
  const p = arena.probabilities[team.index] as number;
  const queryStride = heads * headDim;
  const keyStride = kvHeads * headDim;
  const group = heads / kvHeads;
  for (let member = 0; member < group; member++) {
    const at = headPlaces(config, layer, sequenceIndex, kvHead * group + member, length);
    const dOut = arena.dAttended + at.query;
    const dq = arena.dq + at.query;
    const add = member > 0 ? 1 : 0;
    for (let row = 0; row < length; row += ATTENTION_ROWS) {
      const rows = Math.min(ATTENTION_ROWS, length - row);
      const left = firstColumn(row, window);
      const width = row + rows - left;
      const from = row * queryStride * 4;
      const scores = ds + (row * length + left) * 4;
      const [keys, values] = [at.k + left * keyStride * 4, at.v + left * keyStride * 4];
      kernels.gemm(dOut + from, queryStride, 1, values, 1, keyStride, scores, length, rows, width, headDim, 0, scratch);
      probabilitiesOf(program, at, row, length, window);
      kernels.softmaxRowsBackward(p + left * 4, ds + left * 4, length, row, row + rows, width, 1 / Math.sqrt(headDim));
      kernels.gemm(scores, length, 1, keys, keyStride, 1, dq + from, queryStride, rows, headDim, width, 0, scratch);
    }
    for (let column = 0; column < length; column += ATTENTION_ROWS) {
      const columns = Math.min(ATTENTION_ROWS, length - column);
      const rows = endRow(column + columns, length, window) - column;
      const block = (column * length + column) * 4;
      const from = column * queryStride * 4;
      const to = at.key + column * keyStride * 4;
      const [dk, dv] = [arena.dk + to, arena.dv + to];
      kernels.gemm(p + block, 1, length, dOut + from, queryStride, 1, dv, keyStride, columns, headDim, rows, add, scratch);
      kernels.gemm(ds + block, 1, length, at.q + from, queryStride, 1, dk, keyStride, columns, headDim, rows, add, scratch);
    }
  }
}
