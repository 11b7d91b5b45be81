// The columns of a block of attention that a layer with a sliding window sees; the others are
// neither computed nor read. Without a window all up to the diagonal count.
import type { LlamaKernels } from './kernels.js';

/** Rows of attention in a block; all to the right of the diagonal block is skipped. */
export const ATTENTION_ROWS = 32;

/** The first column that a block of rows computes, at the beginning of a block of columns. */
export function firstColumn(row: number, window: number | undefined): number {
  if (window === undefined || row < window) return 0;
  return Math.floor((row - window + 1) / ATTENTION_ROWS) * ATTENTION_ROWS;
}

/** The end of the rows that see one of the columns up to `endColumn`. */
export function endRow(endColumn: number, length: number, window: number | undefined): number {
  return window === undefined ? length : Math.min(length, endColumn - 1 + window);
}

/**
 * Makes probabilities [length, length] of the scores of rows `row`..`end`, columns `left`..`end`:
 * row i keeps those from i - window + 1 to i, the others become 0.
 */
export function softmaxWindow(
  kernels: LlamaKernels,
  scores: number,
  length: number,
  row: number,
  end: number,
  left: number,
  window: number | undefined,
  scale: number,
): void {
  // Rows that see everything before them.
  const whole = window === undefined ? end : Math.min(Math.max(window, row), end);
  if (whole > row) kernels.softmaxRows(scores, length, row, whole, end, scale);
  for (let i = whole; i < end; i++) {
    const count = window as number;
    const start = i - count + 1;
    kernels.fill(scores, i * length + left, i * length + start);
    // The kernel's row r keeps columns 0..r: this row is shown to it as row count - 1 of an array
    // that begins where the window does.
    const shifted = scores + (i * length + start - (count - 1) * length) * 4;
    kernels.softmaxRows(shifted, length, count - 1, count, end - start, scale);
  }
}
