// `fp4`: the 4-bit float of bitsandbytes, sign and three bits.
import type { Codec } from './codec.js';
import { type FourBitOptions, fourBit } from './four-bit.js';

/** docs/spec/codecs.md, fp4: magnitude by the low three bits, over 12. */
const MAGNITUDES = [0, 0.0625, 8, 12, 4, 6, 2, 3].map((magnitude) => Math.fround(magnitude / 12));

/** Bit 3 is the sign. */
export const FP4_VALUES: Float32Array = Float32Array.from({ length: 16 }, (_, nibble) => {
  const magnitude = MAGNITUDES[nibble & 7] as number;
  return nibble & 8 ? -magnitude : magnitude;
});

/** docs/spec/codecs.md, fp4: thresholds on |s|, strictly greater, and the code above each. They are not the exact midpoints. */
export const FP4_THRESHOLDS: Float32Array = Float32Array.of(0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333);
export const FP4_CODES: readonly number[] = [0b000, 0b001, 0b110, 0b111, 0b100, 0b101, 0b010, 0b011];

function fp4Code(s: number): number {
  const magnitude = Math.abs(s);
  let above = 0;
  while (above < 7 && magnitude > (FP4_THRESHOLDS[above] as number)) above++;
  return (FP4_CODES[above] as number) | (s < 0 ? 8 : 0);
}

export function fp4(options: FourBitOptions = {}): Codec {
  return fourBit({ name: 'fp4', values: FP4_VALUES, zero: 0, code: fp4Code }, options);
}
