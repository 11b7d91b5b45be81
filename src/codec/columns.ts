// Rules over columns: the value of one position in the models of several sites. Each rule decodes
// a chunk of every site into a row, and works on the rows block by block.
import { requireFinite } from './accumulate.js';
import type { CodedRow, ColumnStep, EncodeReport } from './codec.js';

/** The loops that a rule is made of; the SIMD kernels have them too, with the same bits. */
export interface ColumnKernels {
  /** Sorts each column of `count` rows in place, the smallest value into the first row. */
  sort(rows: Float32Array, count: number): void;
  /** The dot product in float64: four sums, one for each index modulo 4, then (0 + 1) + (2 + 3). */
  dot(a: Float32Array, b: Float32Array): number;
  /** `into[i] = fround(into[i] + fround(weight * from[i]))`. */
  add(from: Float32Array, weight: number, into: Float32Array): void;
  /** Throws `NonFiniteValue` with the first infinite or NaN value. */
  refuseNonFinite(values: Float32Array): void;
}

/** The kernels in plain TypeScript: the reference. */
export const PLAIN_COLUMNS: ColumnKernels = { sort: sortColumns, dot: dotProduct, add: addRow, refuseNonFinite: requireFinite };

/** Elements of a block of a dot product, which is added to the sum as a whole: 16 KiB a row. */
const DOT_BLOCK = 4096;

/** Bytes of all rows of a block that is sorted: it stays in the first-level cache. */
const SORT_BLOCK_BYTES = 32_768;
/** The least width of a block, however many rows there are. */
const LEAST_WIDTH = 64;

/**
 * Decodes each coded row into its part of `decoded` (rows × elements), and works on them as `step`
 * says, on the calling thread. A row without a codec is in its part already.
 */
export function columnsHere(rows: readonly CodedRow[], decoded: Float32Array, step: ColumnStep): EncodeReport {
  const elements = decoded.length / rows.length;
  for (const [i, { codec, bytes }] of rows.entries()) codec?.decode(bytes, decoded.subarray(i * elements, (i + 1) * elements));
  return workOnColumns(PLAIN_COLUMNS, decoded, rows.length, step);
}

/** Works on decoded rows; their values are undefined afterwards. */
export function workOnColumns(kernels: ColumnKernels, rows: Float32Array, count: number, step: ColumnStep): EncodeReport {
  if (step.rule === 'products') return { saturated: 0, products: products(kernels, rows, count, step.less) };
  const elements = rows.length / count;
  kernels.sort(rows, count);
  if (step.rule === 'nearMedian') addNearMedian(rows, count, step.keep, step.into);
  else {
    const weight = Math.fround(1 / (count - 2 * step.trim));
    for (let i = step.trim; i < count - step.trim; i++) kernels.add(rows.subarray(i * elements, (i + 1) * elements), weight, step.into);
  }
  kernels.refuseNonFinite(step.into);
  return { saturated: 0 };
}

/** The dot products of all pairs of rows, row by row; each row less `less`, where that is given. */
function products(kernels: ColumnKernels, rows: Float32Array, count: number, less: Float32Array | undefined): number[] {
  const elements = rows.length / count;
  const sums = new Array<number>(count * count).fill(0);
  for (let i = 0; i < count && less; i++) kernels.add(less, -1, rows.subarray(i * elements, (i + 1) * elements));
  for (let start = 0; start < elements; start += DOT_BLOCK) {
    const end = Math.min(elements, start + DOT_BLOCK);
    const blocks = Array.from({ length: count }, (_, i) => rows.subarray(i * elements + start, i * elements + end));
    for (let i = 0; i < count; i++)
      for (let j = 0; j <= i; j++) {
        const at = i * count + j;
        sums[at] = (sums[at] as number) + kernels.dot(blocks[i] as Float32Array, blocks[j] as Float32Array);
      }
  }
  for (let i = 0; i < count; i++) for (let j = 0; j < i; j++) sums[j * count + i] = sums[i * count + j] as number;
  return sums;
}

/**
 * Adds to `into` the mean of the `keep` values of each sorted column that are nearest to its median.
 * They are neighbours in the order; of two that are as near, the smaller one is kept.
 */
function addNearMedian(rows: Float32Array, count: number, keep: number, into: Float32Array): void {
  const elements = rows.length / count;
  const [low, high] = [(count - 1) >>> 1, count >>> 1].map((row) => row * elements) as [number, number];
  const weight = Math.fround(1 / keep);
  for (let i = 0; i < elements; i++) {
    const median = Math.fround(Math.fround((rows[low + i] as number) + (rows[high + i] as number)) * 0.5);
    let first = 0;
    while (
      first + keep < count &&
      (rows[(first + keep) * elements + i] as number) - median < median - (rows[first * elements + i] as number)
    )
      first++;
    let value = into[i] as number;
    for (let row = first; row < first + keep; row++)
      value = Math.fround(value + Math.fround(weight * (rows[row * elements + i] as number)));
    into[i] = value;
  }
}

/**
 * The pairs of rows, one after the other, that Batcher's merge exchange compares to sort any number
 * of rows (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M): 19 pairs for 8 rows.
 */
export function sortingPairs(count: number): number[] {
  const pairs: number[] = [];
  const top = 2 ** Math.max(0, Math.ceil(Math.log2(count)) - 1);
  for (let p = count > 1 ? top : 0; p > 0; p >>>= 1)
    for (let q = top, r = 0, d = p; ; d = q - p, q >>>= 1, r = p) {
      for (let i = 0; i + d < count; i++) if ((i & p) === r) pairs.push(i, i + d);
      if (q === p) break;
    }
  return pairs;
}

function sortColumns(rows: Float32Array, count: number): void {
  const elements = rows.length / count;
  const pairs = sortingPairs(count);
  const width = Math.max(LEAST_WIDTH, Math.floor(SORT_BLOCK_BYTES / 4 / count));
  for (let start = 0; start < elements; start += width) {
    const end = Math.min(elements, start + width);
    for (let pair = 0; pair < pairs.length; pair += 2) {
      const low = rows.subarray((pairs[pair] as number) * elements + start, (pairs[pair] as number) * elements + end);
      const high = rows.subarray((pairs[pair + 1] as number) * elements + start, (pairs[pair + 1] as number) * elements + end);
      exchange(low, high);
    }
  }
}

/** The smaller value of each two into `low`, the larger into `high`; zeros are equal, whatever their sign. */
function exchange(low: Float32Array, high: Float32Array): void {
  for (let i = 0; i < low.length; i++) {
    const [a, b] = [low[i] as number, high[i] as number];
    if (b < a) {
      low[i] = b;
      high[i] = a;
    }
  }
}

function dotProduct(a: Float32Array, b: Float32Array): number {
  let [first, second, third, fourth] = [0, 0, 0, 0];
  const whole = a.length - (a.length % 4);
  for (let i = 0; i < whole; i += 4) {
    first += (a[i] as number) * (b[i] as number);
    second += (a[i + 1] as number) * (b[i + 1] as number);
    third += (a[i + 2] as number) * (b[i + 2] as number);
    fourth += (a[i + 3] as number) * (b[i + 3] as number);
  }
  if (whole < a.length) first += (a[whole] as number) * (b[whole] as number);
  if (whole + 1 < a.length) second += (a[whole + 1] as number) * (b[whole + 1] as number);
  if (whole + 2 < a.length) third += (a[whole + 2] as number) * (b[whole + 2] as number);
  return first + second + (third + fourth);
}

function addRow(from: Float32Array, weight: number, into: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + Math.fround(weight * (from[i] as number));
}
