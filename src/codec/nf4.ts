// `nf4`: the 4-bit NormalFloat of QLoRA (Dettmers et al. 2023).
import type { Codec } from './codec.js';
import { type FourBitOptions, fourBit } from './four-bit.js';

/** docs/spec/codecs.md, nf4: the value of each nibble. */
export const NF4_VALUES: Float32Array = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/** float32 midpoints; a tie goes to the lower index. */
export const NF4_MIDPOINTS: Float32Array = Float32Array.from({ length: 15 }, (_, i) =>
  Math.fround(Math.fround((NF4_VALUES[i] as number) + (NF4_VALUES[i + 1] as number)) * 0.5),
);

function nf4Code(s: number): number {
  let code = 0;
  while (code < 15 && (NF4_MIDPOINTS[code] as number) < s) code++;
  return code;
}

export function nf4(options: FourBitOptions = {}): Codec {
  return fourBit({ name: 'nf4', values: NF4_VALUES, zero: 7, code: nf4Code }, options);
}
