// Decode and add, whatever a chunk is coded as: what the server's reduce consists of.
import type { Dtype } from '../tensor/dtype.js';
import type { Encoding } from '../tensor/manifest.js';
import { widenInto } from '../tensor/widen.js';
import type { CodecTable, CodeStep, EncodeReport, WeightedChunk } from './codec.js';
import { codecOf } from './codec-table.js';
import { NonFiniteValue } from './scaling.js';

/** Halves and bfloat16 as a tensor stores them are what the casts' codecs make. */
export function addingEncoding({ codec, ...rest }: Encoding, dtype: Dtype): Encoding {
  if (codec !== 'raw' || dtype === 'F32') return { codec, ...rest };
  return { codec: dtype === 'F16' ? 'fp16' : 'bf16' };
}

/** `into[i] = fround(into[i] + fround(weight * decoded[i]))` on the calling thread. */
export function addWeighted(codecs: CodecTable, { encoding, dtype, bytes, weight }: WeightedChunk, into: Float32Array): void {
  const coded = addingEncoding(encoding, dtype);
  if (coded.codec !== 'raw') {
    codecOf(codecs, coded).accumulate(bytes, weight, into);
    return;
  }
  addScaled(widenInto(dtype, bytes, new Float32Array(into.length)), weight, into);
}

function addScaled(values: Float32Array, weight: number, into: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + Math.fround(weight * (values[i] as number));
}

const NO_REPORT: EncodeReport = { saturated: 0 };

/** Codes a sum as `step` says, on the calling thread; throws `NonFiniteValue` with the first value that is no number. */
export function codeSum(codecs: CodecTable, sum: Float32Array, { encoding, to, prepared, addTo }: CodeStep): EncodeReport {
  if (encoding.codec === 'raw') {
    requireFinite(sum);
    to.set(new Uint8Array(sum.buffer, sum.byteOffset, sum.byteLength));
    if (addTo) addScaled(sum, addTo.weight, addTo.into);
    return NO_REPORT;
  }
  const codec = codecOf(codecs, encoding);
  const report = codec.encode(sum, to, prepared);
  if (addTo) codec.accumulate(to, addTo.weight, addTo.into);
  return report;
}

/** Throws `NonFiniteValue` with the first value that is no number. */
export function requireFinite(values: Float32Array): void {
  // An infinity or a NaN anywhere makes this sum NaN: 0 × x is 0 for every other value.
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += 0 * (values[i] as number);
  if (zero === 0) return;
  const index = values.findIndex((value) => !Number.isFinite(value));
  throw new NonFiniteValue(index, values[index] as number);
}
