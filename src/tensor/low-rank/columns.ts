// Matrices as columns that lie one behind the other, in float64: what the QR and the SVD work on.
// Only +, −, ×, ÷ and square roots are used, so every engine gives the same bits.

/** A matrix of `rows` × `count`; column j begins at `j × rows`. */
export interface Columns {
  readonly rows: number;
  readonly count: number;
  readonly data: Float64Array;
}

/** A matrix of zeros. */
export function zeroColumns(rows: number, count: number): Columns {
  return { rows, count, data: new Float64Array(rows * count) };
}

/** Column j, a view. */
export function column({ rows, data }: Columns, j: number): Float64Array {
  return data.subarray(j * rows, (j + 1) * rows);
}

/** Several matrices of equal `rows`, side by side. */
export function besides(parts: readonly Columns[], rows: number): Columns {
  const all = zeroColumns(
    rows,
    parts.reduce((sum, { count }) => sum + count, 0),
  );
  let at = 0;
  for (const { data } of parts) {
    all.data.set(data, at);
    at += data.length;
  }
  return all;
}

/** The inner product of two columns, as four sums that do not wait for each other. */
export function dot(a: Float64Array, b: Float64Array): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  const whole = a.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    s0 += (a[i] as number) * (b[i] as number);
    s1 += (a[i + 1] as number) * (b[i + 1] as number);
    s2 += (a[i + 2] as number) * (b[i + 2] as number);
    s3 += (a[i + 3] as number) * (b[i + 3] as number);
  }
  for (let i = whole; i < a.length; i++) s0 += (a[i] as number) * (b[i] as number);
  return s0 + s1 + (s2 + s3);
}

/** `a × bᵀ` of two matrices with as many columns: [a.rows × b.rows]. */
export function timesTransposed(a: Columns, b: Columns): Columns {
  const product = zeroColumns(a.rows, b.rows);
  for (let k = 0; k < a.count; k++) {
    const left = column(a, k);
    const right = column(b, k);
    for (let j = 0; j < b.rows; j++) addScaled(column(product, j), left, right[j] as number);
  }
  return product;
}

/** `a × b`: [a.rows × b.count]. */
export function times(a: Columns, b: Columns): Columns {
  const product = zeroColumns(a.rows, b.count);
  for (let j = 0; j < b.count; j++) {
    const into = column(product, j);
    const factors = column(b, j);
    for (let k = 0; k < a.count; k++) addScaled(into, column(a, k), factors[k] as number);
  }
  return product;
}

/** `into += scale × from`. */
export function addScaled(into: Float64Array, from: Float64Array, scale: number): void {
  if (scale === 0) return;
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + scale * (from[i] as number);
}
