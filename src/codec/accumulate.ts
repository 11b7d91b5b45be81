// Sums of coded chunks on the calling thread: the work of the server's reduce.
import type { Dtype } from '../tensor/dtype.js';
import { type Encoding, RAW } from '../tensor/manifest.js';
import { widenInto } from '../tensor/widen.js';
import type { AfterSum, CodecTable, CodeStep, EncodeReport, WeightedChunk } from './codec.js';
import { codecOf } from './codec-table.js';
import { type OptimizerStep, optimizerStep } from './optimizer-step.js';
import { written } from './raw-coding.js';
import { NonFiniteValue } from './scaling.js';
import { sumOfSquares } from './squares.js';

/**
 * The encoding by which raw values of `dtype` are added on a codec thread: F16 and BF16 tensors
 * hold the very bytes that the codecs `fp16` and `bf16` make.
 */
export function rawEncoding(dtype: Dtype): Encoding {
  return dtype === 'F32' ? RAW : { codec: dtype === 'F16' ? 'fp16' : 'bf16' };
}

/** `into[i] = fround(into[i] + fround(weight * decoded[i]))` on the calling thread. */
export function addWeighted(codecs: CodecTable, { codec, dtype, bytes, weight }: WeightedChunk, into: Float32Array): void {
  if (codec) codec.accumulate(bytes, weight, into);
  else if (dtype === 'F32') addScaled(widenInto(dtype, bytes, new Float32Array(into.length)), weight, into);
  else codecOf(codecs, rawEncoding(dtype)).accumulate(bytes, weight, into);
}

function addScaled(values: Float32Array, weight: number, into: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + Math.fround(weight * (values[i] as number));
}

const NO_REPORT: EncodeReport = { saturated: 0 };

/**
 * Codes a sum as `step` says, on the calling thread; throws `NonFiniteValue` with the first
 * infinite or NaN value.
 */
export function codeSum(sum: Float32Array, { codec, to, prepared, addTo }: CodeStep): EncodeReport {
  if (!codec) {
    requireFinite(sum);
    to.set(new Uint8Array(sum.buffer, sum.byteOffset, sum.byteLength));
    if (addTo) addScaled(sum, addTo.weight, addTo.into);
    return NO_REPORT;
  }
  const report = codec.encode(sum, to, prepared);
  if (addTo) codec.accumulate(written(codec, to, report), addTo.weight, addTo.into);
  return report;
}

/**
 * Adds chunks to a sum in their order and, with `after`, codes or measures the sum, or makes a step
 * with it, on the calling thread; throws `NonFiniteValue`.
 */
export function reduceHere(codecs: CodecTable, chunks: readonly WeightedChunk[], sum: Float32Array, after?: AfterSum): EncodeReport {
  for (const chunk of chunks) addWeighted(codecs, chunk, sum);
  if (after === 'measure') return { saturated: 0, squares: finiteSquares(sum) };
  if (after && 'rule' in after) stepHere(sum, after);
  else if (after) return codeSum(sum, after);
  else requireFinite(sum);
  return NO_REPORT;
}

/** Makes a step with the sum; throws `NonFiniteValue` with the first value that is not finite. */
function stepHere(sum: Float32Array, step: OptimizerStep): void {
  if (optimizerStep(sum, step)) return;
  for (const values of [step.model, ...step.moments]) requireFinite(values);
}

/** The sum of the squares of finite values; throws `NonFiniteValue`. */
function finiteSquares(values: Float32Array): number {
  const squares = sumOfSquares(values);
  if (!Number.isFinite(squares)) requireFinite(values);
  return squares;
}

/** Throws `NonFiniteValue` with the first infinite or NaN value. */
export function requireFinite(values: Float32Array): void {
  // An infinity or a NaN anywhere makes this sum NaN: 0 × x is 0 for every other value.
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += 0 * (values[i] as number);
  if (zero === 0) return;
  const index = values.findIndex((value) => !Number.isFinite(value));
  throw new NonFiniteValue(index, values[index] as number);
}
