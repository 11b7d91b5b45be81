// The head: logits of the rows that have a target, their loss, and the way back to the last norm's
// output, a block of rows at a time.
import { HEAD_ROWS } from './arena.js';
import type { MicroBatch, Program } from './forward.js';
import { EMBEDDING, HEAD } from './parameters.js';
import { share } from './team.js';

/**
 * Writes the figures of all rows that have a target. With a scale other than 0 it also adds the
 * gradient of loss × scale to that of the head's matrix, and leaves that of its input in `gathered`.
 * The logits of the last block stay in memory.
 */
export function headAndLoss(program: Program, micro: MicroBatch, scale: number): void {
  const { arena, kernels, team, config } = program;
  const d = config.hiddenSize;
  const [first, end] = share(team, micro.targets, 4);
  kernels.gatherRows(arena.outputNormed, arena.targetRows, arena.gathered, first, end, d);
  team.barrier();
  for (let row = 0; row < micro.targets; row += HEAD_ROWS) headBlock(program, row, Math.min(HEAD_ROWS, micro.targets - row), scale);
}

/** Threads share out columns of the matrices, since each then packs only its own part of the weights. */
function headBlock({ arena, kernels, team, config }: Program, row: number, rows: number, scale: number): void {
  const { hiddenSize: d, vocabularySize: n, tied } = config;
  const at = arena.parameters.at(tied ? EMBEDDING : HEAD) * 4;
  const [w, dw] = [arena.weights + at, arena.gradients + at];
  const gathered = arena.gathered + row * d * 4;
  const scratch = arena.scratch[team.index] as number;
  const [firstWord, endWord] = share(team, n, 8);
  const words = endWord - firstWord;
  const logits = arena.logits + firstWord * 4;
  if (words > 0) kernels.gemm(gathered, d, 1, w + firstWord * d * 4, 1, d, logits, n, rows, words, d, 0, scratch);
  team.barrier();
  const [first, end] = share(team, rows);
  kernels.crossEntropy(arena.logits, arena.targets + row * 4, arena.figures + row * 16, first, end, n, scale);
  team.barrier();
  if (scale === 0) return;
  if (words > 0) kernels.gemm(logits, 1, n, gathered, d, 1, dw + firstWord * d * 4, d, words, d, rows, 1, scratch);
  // All threads have read `gathered`, so that its memory can take its gradient.
  team.barrier();
  const [firstColumn, endColumn] = share(team, d, 8);
  const columns = endColumn - firstColumn;
  if (columns > 0) kernels.gemm(arena.logits, n, 1, w + firstColumn * 4, d, 1, gathered + firstColumn * 4, d, rows, columns, n, 0, scratch);
  team.barrier();
}
