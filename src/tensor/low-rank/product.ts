// Matrices of low rank as products of two factors: the best approximation of a given rank, found
// without the matrix itself, by QR of both factors and the SVD of what is between them.
import { besides, type Columns, column, times, timesTransposed, zeroColumns } from './columns.js';
import { svd } from './jacobi.js';
import { qr } from './qr.js';

/**
 * The matrix `left × rightᵀ`, [left.rows × right.rows]; both have as many columns. Of a LoRA pair,
 * left is B and right is Aᵀ.
 */
export interface Product {
  readonly left: Columns;
  readonly right: Columns;
}

/** A product whose terms are orthogonal and fall in size. */
export interface Principal extends Product {
  /** The singular values; term j of the product has the norm `values[j]`. */
  readonly values: Float64Array;
}

/**
 * The singular value decomposition of a product: `left` has the left singular vectors times their
 * values, `right` the right ones, which are orthonormal even where the value is 0. It has
 * min(right.rows, columns) terms, or the largest `most` of them. The product's factors are
 * overwritten. The first r terms are the best approximation of rank r (Eckart and Young 1936).
 */
export function principal({ left, right }: Product, most = Number.POSITIVE_INFINITY): Principal {
  const l = qr(left);
  const r = qr(right);
  const { scaled, values, right: v } = svd(timesTransposed(l.r, r.r));
  const count = Math.min(most, v.count);
  return { left: l.timesQ(part(scaled, 0, count)), right: r.timesQ(part(v, 0, count)), values };
}

/** The sum of products of [rows × columns]: their terms one behind the other. */
export function joined(parts: readonly Product[], rows: number, columns: number): Product {
  const [lefts, rights] = [parts.map(({ left }) => left), parts.map(({ right }) => right)];
  return { left: besides(lefts, rows), right: besides(rights, columns) };
}

/** Terms `first` up to, not including, `end`; columns of zeros where there are none. */
export function terms({ left, right }: Product, first: number, end: number): Product {
  return { left: part(left, first, end), right: part(right, first, end) };
}

/**
 * The same terms with each singular value shared evenly between both factors, so that neither is
 * far larger than the other: that is how they lie in float32.
 */
export function balanced({ left, right, values }: Principal): Product {
  const into = { left: zeroColumns(left.rows, left.count), right: zeroColumns(right.rows, right.count) };
  for (let j = 0; j < left.count; j++) {
    const value = values[j] ?? 0;
    // Columns of value 0 stay zero: there is nothing to share.
    if (value === 0) continue;
    const root = Math.sqrt(value);
    const [toLeft, toRight] = [column(into.left, j), column(into.right, j)];
    for (const [i, x] of column(left, j).entries()) toLeft[i] = x / root;
    for (const [i, x] of column(right, j).entries()) toRight[i] = x * root;
  }
  return into;
}

/** The same product in other coordinates: `left × turn⁻¹` and `right × turnᵀ`. */
export function turned({ left, right }: Product, turn: Columns, inverse: Columns): Product {
  return { left: times(left, inverse), right: timesTransposed(right, turn) };
}

function part(all: Columns, first: number, end: number): Columns {
  const some = zeroColumns(all.rows, Math.max(0, end - first));
  some.data.set(all.data.subarray(first * all.rows, Math.min(end, all.count) * all.rows));
  return some;
}
