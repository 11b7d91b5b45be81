// Codes one block of `u1` to `u4` by the rule of docs/spec/codecs.md: the scale and the codes.
import { narrowBf16 } from '../tensor/bfloat16.js';

/** Elements of a block. */
export const UNIFORM_BLOCK = 128;

/** Bits of a code. */
export type UniformBits = 1 | 2 | 3 | 4;

const fround = Math.fround;
const LARGEST = 3.4028234663852886e38;
/**
 * A block whose sum of squares overflows is coded at 2^-70 of its size: its largest square is then
 * 2^116.
 */
const SHRINK = 2 ** -70;

/**
 * Starting steps, as fractions of the root mean square, and of the step with which the largest
 * value just fits.
 */
interface Starts {
  readonly ofRms: number;
  readonly ofTop: readonly number[];
}
const STARTS: Readonly<Record<2 | 3 | 4, Starts>> = {
  2: { ofRms: fround(0.498), ofTop: [] },
  3: { ofRms: fround(0.293), ofTop: [1, fround(0.85), fround(0.7)] },
  4: { ofRms: fround(0.168), ofTop: [1, fround(0.85), fround(0.7)] },
};

/** The bits of the largest bfloat16 whose product with `2^bits - 1` is finite. */
const LARGEST_SCALE: Readonly<Record<UniformBits, number>> = { 1: 0x7f7f, 2: 0x7eaa, 3: 0x7e12, 4: 0x7d88 };

const terms = new Float32Array(UNIFORM_BLOCK);
const magnitudes = new Float32Array(UNIFORM_BLOCK);
const shrunk = new Float32Array(UNIFORM_BLOCK);
const tried = new Uint8Array(UNIFORM_BLOCK);

/**
 * Writes the code of every value of a block (1 to 128 finite ones) and returns the bits of its
 * bfloat16 scale.
 */
export function codeUniformBlock(bits: UniformBits, y: Float32Array, codes: Uint8Array): number {
  const n2 = sumOfSquares(y);
  if (n2 === 0) {
    codes.fill(0, 0, y.length);
    return 0;
  }
  if (n2 <= LARGEST) return narrowBf16(stepOf(bits, y, n2, codes));
  const small = shrunk.subarray(0, y.length);
  for (let i = 0; i < y.length; i++) small[i] = (y[i] as number) * SHRINK;
  const step = fround(stepOf(bits, small, sumOfSquares(small), codes) / SHRINK);
  return Math.min(narrowBf16(step), LARGEST_SCALE[bits]);
}

/** The step to be stored, before it is rounded to bfloat16. */
function stepOf(bits: UniformBits, y: Float32Array, n2: number, codes: Uint8Array): number {
  let best = { error: Number.POSITIVE_INFINITY, c: 0, s: 0 };
  for (const start of startsOf(bits, y, n2)) {
    const { c, s } = refined(bits, y, start);
    const error = fround(n2 - fround(c * s));
    if (error >= best.error) continue;
    best = { error, c, s };
    codes.set(tried.subarray(0, y.length));
  }
  const along = fround(n2 / best.c);
  return along > 2 * best.s ? best.s : along;
}

function startsOf(bits: UniformBits, y: Float32Array, n2: number): number[] {
  for (let i = 0; i < y.length; i++) magnitudes[i] = Math.abs(y[i] as number);
  if (bits === 1) return [fround(laneSum(magnitudes, y.length) / y.length)];
  const { ofRms, ofTop } = STARTS[bits];
  const rms = fround(Math.sqrt(fround(n2 / y.length)));
  let top = 0;
  for (let i = 0; i < y.length; i++) top = Math.max(top, magnitudes[i] as number);
  const fitting = fround(top / (2 ** bits - 1));
  return [fround(ofRms * rms), ...ofTop.map((part) => fround(fitting * part))];
}

/**
 * Alternates between coding to a step and taking the step that fits the codes best: twice, for `u1`
 * once. The last codes are left in `tried`.
 */
function refined(bits: UniformBits, y: Float32Array, start: number): { c: number; s: number } {
  const half = 2 ** bits / 2;
  let c = 0;
  let s = start;
  for (let round = bits === 1 ? 1 : 0; round < 2; round++) {
    const r = Math.min(fround(0.5 / s), LARGEST); // a start is 0 if n2 / n underflows
    let q = 0;
    for (let i = 0; i < y.length; i++) {
      const below = Math.floor(fround((y[i] as number) * r));
      const k = Math.max(0, Math.min(2 * half - 1, below + half));
      const v = 2 * k - (2 * half - 1);
      tried[i] = k;
      terms[i] = (y[i] as number) * v;
      q += v * v;
    }
    c = laneSum(terms, y.length);
    s = fround(c / q);
  }
  return { c, s };
}

function sumOfSquares(y: Float32Array): number {
  for (let i = 0; i < y.length; i++) terms[i] = (y[i] as number) * (y[i] as number);
  return laneSum(terms, y.length);
}

const lanes = new Float32Array(4);

/** Sums in four float32 lanes, lane j for the values at j mod 4, in order, as SIMD adds them. */
function laneSum(values: Float32Array, count: number): number {
  lanes.fill(0);
  for (let i = 0; i < count; i++) lanes[i & 3] = (lanes[i & 3] as number) + (values[i] as number);
  const [l0, l1, l2, l3] = lanes as unknown as [number, number, number, number];
  return fround(fround(l0 + l1) + fround(l2 + l3));
}
