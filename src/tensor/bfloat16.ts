// bfloat16: the upper half of a float32, narrowed to nearest even.

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** The float32 whose upper half is `bits`. */
export function widenBf16(bits: number): number {
  word[0] = bits << 16;
  return float[0] as number;
}

/** The bfloat16 nearest to a float32, ties to even; a NaN stays a NaN. */
export function narrowBf16(value: number): number {
  float[0] = value;
  const bits = word[0] as number;
  if ((bits & 0x7fffffff) > 0x7f800000) return ((bits >>> 16) | 0x40) & 0xffff;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
