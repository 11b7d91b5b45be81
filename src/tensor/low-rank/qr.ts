// QR by Householder reflections (Golub and Van Loan, Matrix Computations, 5.2), of tall matrices and
// in float64.
import { addScaled, type Columns, column, dot, zeroColumns } from './columns.js';

/** A factorization `Q × R`, with Q kept as its reflections. */
export interface Qr {
  /** Upper triangle, [min(rows, count) × count]. */
  readonly r: Columns;
  /** `Q × x`, for x of [min(rows, count) × any]: [rows × any]. */
  timesQ(x: Columns): Columns;
}

/** Factors `a`, whose columns are overwritten. Columns that depend on others are no trouble. */
export function qr(a: Columns): Qr {
  const { rows, count } = a;
  const rank = Math.min(rows, count);
  const r = zeroColumns(rank, count);
  const scales = new Float64Array(rank);
  for (let k = 0; k < rank; k++) {
    const x = column(a, k).subarray(k);
    const norm = Math.sqrt(dot(x, x));
    const head = x[0] as number;
    const alpha = head > 0 ? -norm : norm;
    if (norm > 0) {
      // H = I − 2 v vᵀ / vᵀv maps x to alpha × e₁; v lies where x was.
      x[0] = head - alpha;
      scales[k] = 2 / dot(x, x);
      reflect(a, k + 1, k, x, scales[k] as number);
    }
    const into = column(r, k);
    into.set(column(a, k).subarray(0, k));
    into[k] = norm > 0 ? alpha : 0;
  }
  for (let j = rank; j < count; j++) column(r, j).set(column(a, j).subarray(0, rank));
  const timesQ = (x: Columns): Columns => {
    const product = zeroColumns(rows, x.count);
    for (let j = 0; j < x.count; j++) column(product, j).set(column(x, j));
    for (let k = rank - 1; k >= 0; k--) reflect(product, 0, k, column(a, k).subarray(k), scales[k] as number);
    return product;
  };
  return { r, timesQ };
}

/**
 * Reflects the columns of `m` from `first` on, of which `v` moves the rows from `top` on. Four columns
 * at a time: `v` is read once for all of them, and their sums do not wait for each other.
 */
function reflect({ rows, count, data }: Columns, first: number, top: number, v: Float64Array, scale: number): void {
  if (scale === 0) return;
  let j = first;
  for (; j + 4 <= count; j += 4) {
    const a = data.subarray(j * rows + top, (j + 1) * rows);
    const b = data.subarray((j + 1) * rows + top, (j + 2) * rows);
    const c = data.subarray((j + 2) * rows + top, (j + 3) * rows);
    const d = data.subarray((j + 3) * rows + top, (j + 4) * rows);
    let [ofA, ofB, ofC, ofD] = [0, 0, 0, 0];
    for (let i = 0; i < v.length; i++) {
      const x = v[i] as number;
      ofA += x * (a[i] as number);
      ofB += x * (b[i] as number);
      ofC += x * (c[i] as number);
      ofD += x * (d[i] as number);
    }
    ofA *= scale;
    ofB *= scale;
    ofC *= scale;
    ofD *= scale;
    for (let i = 0; i < v.length; i++) {
      const x = v[i] as number;
      a[i] = (a[i] as number) - ofA * x;
      b[i] = (b[i] as number) - ofB * x;
      c[i] = (c[i] as number) - ofC * x;
      d[i] = (d[i] as number) - ofD * x;
    }
  }
  for (; j < count; j++) {
    const x = data.subarray(j * rows + top, (j + 1) * rows);
    addScaled(x, v, -scale * dot(v, x));
  }
}
