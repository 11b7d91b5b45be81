// Matrix product C (+)= A · B for any strides: packed panels and micro-kernels of 5 × 8 and 4 × 8.

// One micro-tile has 10 accumulators, 2 loads of B, a splat of A and a product: they stay within
// the 15 registers that the engine gives out. Panels of 4 rows take what 5 do not divide.
const MR: i32 = 5;
const NR: i32 = 8;
// A panel of B (8 KB) and one of A (5 KB) stay in L1, a block of B (512 KB) in L2.
const KC: i32 = 256;
const MC: i32 = 64;
const NC: i32 = 512;

/** Bytes of scratch that one thread needs: a block of A, a block of B, a tile. */
export const GEMM_SCRATCH_BYTES: i32 = (MC * KC + NC * KC + MR * NR) * 4;

/**
 * Computes c[i, j] = sum over k of a[i, k] * b[k, j], added to c if `accumulate` is set. Strides
 * are in elements. The sum of an element runs over k in blocks of 256, in order, so it does not
 * depend on how rows are shared out.
 */
export function gemm(a: usize, ars: i32, acs: i32, b: usize, brs: i32, bcs: i32, c: usize, ldc: i32, m: i32, n: i32, k: i32, accumulate: i32, scratch: usize): void {
  const packedA = scratch;
  const packedB = scratch + <usize>(MC * KC * 4);
  const tile = packedB + <usize>(NC * KC * 4);
  for (let k0 = 0; k0 < k; k0 += KC) {
    const kc = min(KC, k - k0);
    const add = accumulate != 0 || k0 > 0;
    for (let n0 = 0; n0 < n; n0 += NC) {
      const nc = min(NC, n - n0);
      packB(b + (<usize>(k0 * brs + n0 * bcs) << 2), brs, bcs, kc, nc, packedB);
      for (let m0 = 0; m0 < m; m0 += MC) {
        const mc = min(MC, m - m0);
        packA(a + (<usize>(m0 * ars + k0 * acs) << 2), ars, acs, mc, kc, packedA);
        for (let j = 0; j < nc; j += NR) {
          const panelB = packedB + (<usize>(j * kc) << 2);
          for (let i = 0; i < mc; ) {
            const rows = panelRows(i, mc);
            const panelA = packedA + (<usize>(i * kc) << 2);
            const to = c + (<usize>((m0 + i) * ldc + n0 + j) << 2);
            const isWhole = i + rows <= mc && j + NR <= nc;
            const target = isWhole ? to : tile;
            const stride = isWhole ? ldc : NR;
            if (rows == MR) micro<bool>(panelA, panelB, kc, target, stride, isWhole && add);
            else micro<i32>(panelA, panelB, kc, target, stride, isWhole && add);
            if (!isWhole) copyTile(tile, to, ldc, min(rows, mc - i), min(NR, nc - j), add);
            i += rows;
          }
        }
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function put(to: usize, value: v128, add: bool): void {
  v128.store(to, add ? f32x4.add(v128.load(to), value) : value);
}

/**
 * Rows of the panel that begins at row `i` of `m`: 5, and 4 for the last ones, so that no row is
 * made up unless m is too small for such a sum.
 */
// @ts-ignore: decorator
@inline
function panelRows(i: i32, m: i32): i32 {
  const fours = (MR - (m % MR)) % MR;
  return i + 4 * fours < m ? MR : 4;
}

/** A tile of 5 rows, or of 4: `T` chooses at compile time, `bool` for 5. */
function micro<T>(a: usize, b: usize, kc: i32, c: usize, ldc: i32, add: bool): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00, c40 = c00, c41 = c00;
  // The last row comes first: the engine turns the order around, and so loads each splat just before
  // it is used. The other way round all loads come first, and fill the registers. Not unrolled, since
  // two steps at a time run out of registers (slower than one, measured).
  const stop = b + (<usize>kc << 5);
  while (b < stop) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    if (isBoolean<T>()) {
      const last = v128.load32_splat(a, 16);
      c40 = f32x4.add(c40, f32x4.mul(last, b0));
      c41 = f32x4.add(c41, f32x4.mul(last, b1));
    }
    let s = v128.load32_splat(a, 12);
    c30 = f32x4.add(c30, f32x4.mul(s, b0));
    c31 = f32x4.add(c31, f32x4.mul(s, b1));
    s = v128.load32_splat(a, 8);
    c20 = f32x4.add(c20, f32x4.mul(s, b0));
    c21 = f32x4.add(c21, f32x4.mul(s, b1));
    s = v128.load32_splat(a, 4);
    c10 = f32x4.add(c10, f32x4.mul(s, b0));
    c11 = f32x4.add(c11, f32x4.mul(s, b1));
    s = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(s, b0));
    c01 = f32x4.add(c01, f32x4.mul(s, b1));
    a += isBoolean<T>() ? 20 : 16;
    b += 32;
  }
  const stride = <usize>ldc << 2;
  put(c, c00, add);
  put(c + 16, c01, add);
  put(c + stride, c10, add);
  put(c + stride + 16, c11, add);
  put(c + 2 * stride, c20, add);
  put(c + 2 * stride + 16, c21, add);
  put(c + 3 * stride, c30, add);
  put(c + 3 * stride + 16, c31, add);
  if (isBoolean<T>()) {
    put(c + 4 * stride, c40, add);
    put(c + 4 * stride + 16, c41, add);
  }
}

function copyTile(tile: usize, to: usize, ldc: i32, rows: i32, columns: i32, add: bool): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const at = to + (<usize>(i * ldc + j) << 2);
      const value = load<f32>(tile + (<usize>(i * NR + j) << 2));
      store<f32>(at, add ? load<f32>(at) + value : value);
    }
  }
}

/** Packs panels of 5 and 4 rows, k-major; missing rows are zeros. */
function packA(a: usize, ars: i32, acs: i32, m: i32, k: i32, to: usize): void {
  for (let i = 0; i < m; ) {
    const rows = panelRows(i, m);
    const from = a + (<usize>(i * ars) << 2);
    const step = <usize>rows << 2;
    if (i + rows <= m && ars == 1) packRowsTogether(from, acs, k, to, step);
    else if (i + rows <= m && acs == 1) transpose4(from, ars, k, to, step);
    else packSlow(from, ars, acs, min(rows, m - i), k, to, rows);
    if (rows == MR && i + rows <= m && (ars == 1 || acs == 1)) packFifth(from + (<usize>(4 * ars) << 2), acs, k, to + 16);
    to += <usize>k * step;
    i += rows;
  }
}

/** Packs panels of 8 columns, k-major; missing columns are zeros. */
function packB(b: usize, brs: i32, bcs: i32, k: i32, n: i32, to: usize): void {
  for (let j = 0; j < n; j += NR) {
    const columns = min(NR, n - j);
    const from = b + (<usize>(j * bcs) << 2);
    if (columns == NR && bcs == 1) {
      const stride = <usize>brs << 2;
      for (let p = 0; p < k; p++) {
        const row = from + <usize>p * stride;
        const at = to + (<usize>p << 5);
        v128.store(at, v128.load(row));
        v128.store(at, v128.load(row, 16), 16);
      }
    } else if (columns == NR && brs == 1) {
      transpose4(from, bcs, k, to, 32);
      transpose4(from + (<usize>(4 * bcs) << 2), bcs, k, to + 16, 32);
    } else packSlow(from, bcs, brs, columns, k, to, NR);
    to += <usize>(k * NR) << 2;
  }
}

function packRowsTogether(from: usize, acs: i32, k: i32, to: usize, step: usize): void {
  const stride = <usize>acs << 2;
  for (let p = 0; p < k; p++) v128.store(to + <usize>p * step, v128.load(from + <usize>p * stride));
}

/** Copies the fifth row of a panel to its place in each group of five. */
function packFifth(from: usize, acs: i32, k: i32, to: usize): void {
  const stride = <usize>acs << 2;
  for (let p = 0; p < k; p++) store<f32>(to + <usize>p * 20, load<f32>(from + <usize>p * stride));
}

/** Copies four rows that are contiguous in k to k-major groups of four, `step` bytes apart. */
function transpose4(from: usize, rowStride: i32, k: i32, to: usize, step: usize): void {
  const stride = <usize>rowStride << 2;
  let p = 0;
  for (; p + 4 <= k; p += 4) {
    const at = from + (<usize>p << 2);
    const r0 = v128.load(at);
    const r1 = v128.load(at + stride);
    const r2 = v128.load(at + 2 * stride);
    const r3 = v128.load(at + 3 * stride);
    const t0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
    const t1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
    const t2 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
    const t3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    v128.store(to, v128.shuffle<f64>(t0, t2, 0, 2));
    v128.store(to + step, v128.shuffle<f64>(t0, t2, 1, 3));
    v128.store(to + 2 * step, v128.shuffle<f64>(t1, t3, 0, 2));
    v128.store(to + 3 * step, v128.shuffle<f64>(t1, t3, 1, 3));
    to += 4 * step;
  }
  for (; p < k; p++) {
    const at = from + (<usize>p << 2);
    for (let i: usize = 0; i < 4; i++) store<f32>(to + (i << 2), load<f32>(at + i * stride));
    to += step;
  }
}

function packSlow(from: usize, rowStride: i32, kStride: i32, rows: i32, k: i32, to: usize, width: i32): void {
  for (let p = 0; p < k; p++) {
    for (let i = 0; i < width; i++) {
      const value: f32 = i < rows ? load<f32>(from + (<usize>(i * rowStride + p * kStride) << 2)) : 0;
      store<f32>(to + (<usize>(p * width + i) << 2), value);
    }
  }
}
