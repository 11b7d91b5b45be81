// One kernel and the way to it: values, codes and scales pass through the arena a stage at a time.
import { FedStreamError } from '../core/errors.js';
import type { RawValues } from './codec.js';
import { type Kernels, STAGE_ELEMENTS } from './kernels.js';
import { NonFiniteValue } from './scaling.js';

/** A kernel between the arena's `values` and its `scales` and `codes`. `encode` returns -1, or the index of a value that is no number. */
export interface StageKernel {
  scaleBytes(elements: number): number;
  codeBytes(elements: number): number;
  encode(count: number): number;
  decode(count: number): void;
  accumulate(count: number, weight: number): void;
  saturated(): number;
}

export function rawOf(values: Float32Array): RawValues {
  return { dtype: 'F32', bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

export interface StagedKernel {
  /** Returns how many values saturated; throws `NonFiniteValue`. */
  encode(from: RawValues, elements: number, scalesTo: Uint8Array, codesTo: Uint8Array): number;
  decode(scalesFrom: Uint8Array, codesFrom: Uint8Array, elements: number, to: RawValues): void;
  accumulate(scalesFrom: Uint8Array, codesFrom: Uint8Array, weight: number, into: Float32Array): void;
}

export function stagedKernel(kernels: Kernels, kernel: StageKernel): StagedKernel {
  const { run, bytes, scales, values, codes } = kernels;
  const bringCodes = (scalesFrom: Uint8Array, codesFrom: Uint8Array, start: number, count: number): void => {
    const firstScale = kernel.scaleBytes(start);
    const firstCode = kernel.codeBytes(start);
    if (scalesFrom.length > 0) bytes.set(scalesFrom.subarray(firstScale, firstScale + kernel.scaleBytes(count)), scales);
    bytes.set(codesFrom.subarray(firstCode, firstCode + kernel.codeBytes(count)), codes);
  };
  /** 16-bit dtypes are staged where the codes will be, or have been. */
  const bringValues = ({ dtype, bytes: from }: RawValues, start: number, count: number): void => {
    if (dtype === 'F32') {
      bytes.set(from.subarray(4 * start, 4 * (start + count)), values);
      return;
    }
    bytes.set(from.subarray(2 * start, 2 * (start + count)), codes);
    if (dtype === 'F16') run.decodeFp16(codes, count, values);
    else if (dtype === 'BF16') run.decodeBf16(codes, count, values);
    else throw new FedStreamError('internal', `${dtype} is not widened to float32`);
  };
  const takeValues = ({ dtype, bytes: to }: RawValues, start: number, count: number): void => {
    if (dtype === 'F32') {
      to.set(bytes.subarray(values, values + 4 * count), 4 * start);
      return;
    }
    if (dtype === 'F16') run.narrowF16(values, count, codes);
    else if (dtype === 'BF16') run.narrowBf16(values, count, codes);
    else throw new FedStreamError('internal', `${dtype} is not narrowed from float32`);
    to.set(bytes.subarray(codes, codes + 2 * count), 2 * start);
  };
  return {
    encode(from, elements, scalesTo, codesTo) {
      let saturated = 0;
      for (let start = 0; start < elements; start += STAGE_ELEMENTS) {
        const count = Math.min(STAGE_ELEMENTS, elements - start);
        bringValues(from, start, count);
        const bad = kernel.encode(count);
        if (bad >= 0) throw new NonFiniteValue(start + bad, new Float32Array(bytes.buffer, values + 4 * bad, 1)[0] as number);
        saturated += kernel.saturated();
        if (scalesTo.length > 0) scalesTo.set(bytes.subarray(scales, scales + kernel.scaleBytes(count)), kernel.scaleBytes(start));
        codesTo.set(bytes.subarray(codes, codes + kernel.codeBytes(count)), kernel.codeBytes(start));
      }
      return saturated;
    },
    decode(scalesFrom, codesFrom, elements, to) {
      for (let start = 0; start < elements; start += STAGE_ELEMENTS) {
        const count = Math.min(STAGE_ELEMENTS, elements - start);
        bringCodes(scalesFrom, codesFrom, start, count);
        kernel.decode(count);
        takeValues(to, start, count);
      }
    },
    accumulate(scalesFrom, codesFrom, weight, into) {
      const raw = rawOf(into);
      for (let start = 0; start < into.length; start += STAGE_ELEMENTS) {
        const count = Math.min(STAGE_ELEMENTS, into.length - start);
        bringCodes(scalesFrom, codesFrom, start, count);
        bytes.set(raw.bytes.subarray(4 * start, 4 * (start + count)), values);
        kernel.accumulate(count, weight);
        raw.bytes.set(bytes.subarray(values, values + 4 * count), 4 * start);
      }
    },
  };
}
