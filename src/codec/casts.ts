// `fp16` and `bf16`: one 16-bit word for each element, no blocks.
import { narrowBf16, widenBf16 } from '../tensor/bfloat16.js';
import { narrowF16, widenF16 } from '../tensor/float16.js';
import type { Codec, EncodeReport } from './codec.js';
import { checkSizes, NonFiniteValue } from './scaling.js';

/** The largest finite half; larger values saturate and are counted. */
const F16_MAX = 65_504;

/** The codec `fp16`: IEEE half precision, to nearest even; values beyond ±65504 saturate. */
export function fp16(): Codec {
  const narrow = (value: number): number => narrowF16(Math.max(-F16_MAX, Math.min(F16_MAX, value)));
  return cast('fp16', narrow, widenF16, (value) => Math.abs(value) > F16_MAX);
}

/** The codec `bf16`: the upper half of float32, to nearest even. */
export function bf16(): Codec {
  return cast('bf16', narrowBf16, widenBf16, () => false);
}

function cast(
  name: string,
  narrow: (value: number) => number,
  widen: (bits: number) => number,
  saturates: (value: number) => boolean,
): Codec {
  const encodedBytes = (elements: number): number => elements * 2;
  const wordAt = (from: Uint8Array, i: number): number => (from[2 * i] as number) | ((from[2 * i + 1] as number) << 8);
  return {
    encoding: { codec: name },
    blockSize: 1,
    encodedBytes,
    encode(from, to): EncodeReport {
      checkSizes(name, from.length, encodedBytes(from.length), to);
      let saturated = 0;
      for (let i = 0; i < from.length; i++) {
        const value = from[i] as number;
        if (!Number.isFinite(value)) throw new NonFiniteValue(i, value);
        if (saturates(value)) saturated++;
        const bits = narrow(value);
        to[2 * i] = bits & 0xff;
        to[2 * i + 1] = bits >>> 8;
      }
      return { saturated };
    },
    decode(from, to) {
      checkSizes(name, to.length, encodedBytes(to.length), from);
      for (let i = 0; i < to.length; i++) to[i] = widen(wordAt(from, i));
    },
    accumulate(from, weight, into) {
      checkSizes(name, into.length, encodedBytes(into.length), from);
      const factor = Math.fround(weight);
      for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + Math.fround(factor * widen(wordAt(from, i)));
    },
  };
}
