// IEEE 754 half precision: exact widening, narrowing to nearest even.

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The float32 of a half's bits; every half is exact. */
export function widenF16(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return (bits & 0x8000 ? -fraction : fraction) * 2 ** -24;
  if (exponent === 31 && fraction !== 0) return Number.NaN;
  word[0] = ((bits & 0x8000) << 16) | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  return float[0] as number;
}

/**
 * The half nearest to a float32, ties to even; values beyond 65504 + half a step become infinite.
 */
export function narrowF16(value: number): number {
  float[0] = value;
  const bits = word[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and up round to infinity
  if (magnitude < 0x38800000) return sign | roundHalfEven((Math.abs(value) * 2 ** 24) as number); // subnormal halves
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/**
 * Rounds to the nearest integer, ties to even; `value` is below 2^11, so the arithmetic is exact.
 */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
