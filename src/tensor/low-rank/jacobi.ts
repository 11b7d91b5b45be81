// The singular value decomposition of a small matrix by one-sided Jacobi rotations (Hestenes 1958;
// Demmel and Veselić 1992: small singular values keep their digits). Float64.
import { type Columns, column, dot, zeroColumns } from './columns.js';

/** Two columns count as orthogonal where the cosine between them is below this. */
const ORTHOGONAL = 1e-13;
/** Rotations converge quadratically: some ten sweeps are usual, whatever the size. */
const MOST_SWEEPS = 60;

/** `M = U S Vᵀ`, the largest singular value first. */
export interface Svd {
  /** `U S`: column j is the j-th left singular vector times its value. */
  readonly scaled: Columns;
  /** Singular values, falling. */
  readonly values: Float64Array;
  /** Right singular vectors; all of them, orthonormal, those of value 0 too. */
  readonly right: Columns;
}

/**
 * Decomposes a matrix of any shape, whose columns are overwritten. The same bits for the same
 * values: pairs are turned in a fixed order, and equal values keep the order of their columns.
 */
export function svd(m: Columns): Svd {
  const { rows, count } = m;
  const v = zeroColumns(count, count);
  for (let j = 0; j < count; j++) v.data[j * count + j] = 1;
  const squares = Float64Array.from({ length: count }, (_, j) => dot(column(m, j), column(m, j)));
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let turned = false;
    // Columns under the rounding of the whole are zero: what they are made of is no direction.
    const none = squares.reduce((sum, square) => sum + square, 0) * (count * Number.EPSILON) ** 2;
    for (let p = 0; p < count - 1; p++) {
      for (let q = p + 1; q < count; q++) turned = turnPair(m, v, { squares, none }, p, q) || turned;
    }
    if (!turned) break;
    // Sums that were only updated drift: each sweep begins with the norms as they are.
    for (let j = 0; j < count; j++) squares[j] = dot(column(m, j), column(m, j));
  }
  const norms = Array.from({ length: count }, (_, j) => Math.sqrt(dot(column(m, j), column(m, j))));
  const order = norms.map((_, j) => j).sort((a, b) => (norms[b] as number) - (norms[a] as number) || a - b);
  const scaled = zeroColumns(rows, count);
  const right = zeroColumns(count, count);
  for (const [place, j] of order.entries()) {
    column(scaled, place).set(column(m, j));
    column(right, place).set(column(v, j));
  }
  return { scaled, values: Float64Array.from(order, (j) => norms[j] as number), right };
}

/** The squared norms of the columns, and up to which a column counts as zero. */
interface Norms {
  readonly squares: Float64Array;
  readonly none: number;
}

/** Makes columns p and q orthogonal, the longer one first; false where they are already. */
function turnPair(m: Columns, v: Columns, { squares, none }: Norms, p: number, q: number): boolean {
  const [a, b] = [column(m, p), column(m, q)];
  const [alpha, beta] = [squares[p] as number, squares[q] as number];
  if (alpha <= none || beta <= none) return false;
  const gamma = dot(a, b);
  if (Math.abs(gamma) <= ORTHOGONAL * Math.sqrt(alpha) * Math.sqrt(beta)) return false;
  const zeta = (beta - alpha) / (2 * gamma);
  const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const c = 1 / Math.sqrt(1 + t * t);
  rotate(a, b, c, c * t);
  rotate(column(v, p), column(v, q), c, c * t);
  squares[p] = Math.max(0, alpha - t * gamma);
  squares[q] = beta + t * gamma;
  return true;
}

function rotate(a: Float64Array, b: Float64Array, c: number, s: number): void {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    a[i] = c * x - s * y;
    b[i] = s * x + c * y;
  }
}
