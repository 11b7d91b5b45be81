// Runs one kernel on bytes that lie anywhere: others than the kernels' own pass through their
// arena.
import { FedStreamError } from '../core/errors.js';
import type { RawValues } from './codec.js';
import type { Kernels } from './kernel-types.js';
import { STAGE_ELEMENTS } from './kernels.js';
import { NonFiniteValue } from './scaling.js';

/**
 * A kernel on pointers into the kernels' memory. `encode` returns -1, or the index of an infinite
 * or NaN value.
 */
export interface StageKernel {
  scaleBytes(elements: number): number;
  codeBytes(elements: number): number;
  encode(values: number, count: number, scales: number, codes: number): number;
  decode(scales: number, codes: number, count: number, values: number): void;
  accumulate(scales: number, codes: number, count: number, weight: number, values: number): void;
  saturated(): number;
}

/** A float32 array as raw values. */
export function rawOf(values: Float32Array): RawValues {
  return { dtype: 'F32', bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** A kernel on raw values that lie anywhere. */
export interface StagedKernel {
  /** Returns the number of values that saturated; throws `NonFiniteValue`. */
  encode(from: RawValues, elements: number, scalesTo: Uint8Array, codesTo: Uint8Array): number;
  decode(scalesFrom: Uint8Array, codesFrom: Uint8Array, elements: number, to: RawValues): void;
  accumulate(scalesFrom: Uint8Array, codesFrom: Uint8Array, weight: number, into: Float32Array): void;
}

/**
 * Bytes in the kernels' memory are used in place; others are copied through the arena, a stage at a
 * time.
 */
export function stagedKernel(kernels: Kernels, kernel: StageKernel): StagedKernel {
  const { run, bytes, scales, values, codes } = kernels;
  /**
   * The address at which a kernel can read `length` bytes of `from`: their own, or `room` after a
   * copy.
   */
  const bring = (from: Uint8Array, start: number, length: number, room: number): number => {
    if (from.buffer === bytes.buffer) return from.byteOffset + start;
    if (length > 0) bytes.set(from.subarray(start, start + length), room);
    return room;
  };
  /** The address for a kernel to write to; `take` then copies from there to `to` if need be. */
  const target = (to: Uint8Array, start: number, room: number): number => (to.buffer === bytes.buffer ? to.byteOffset + start : room);
  const take = (to: Uint8Array, start: number, length: number, room: number): void => {
    if (to.buffer !== bytes.buffer && length > 0) to.set(bytes.subarray(room, room + length), start);
  };
  /** Values of 16-bit dtypes are staged at the address of the codes. */
  const bringValues = ({ dtype, bytes: from }: RawValues, start: number, count: number): number => {
    if (dtype === 'F32') return bring(from, 4 * start, 4 * count, values);
    const at = bring(from, 2 * start, 2 * count, codes);
    if (dtype === 'F16') run.decodeFp16(at, count, values);
    else if (dtype === 'BF16') run.decodeBf16(at, count, values);
    else throw new FedStreamError('internal', `${dtype} is not widened to float32`);
    return values;
  };
  const takeValues = ({ dtype, bytes: to }: RawValues, start: number, count: number): void => {
    if (dtype === 'F32') {
      take(to, 4 * start, 4 * count, values);
      return;
    }
    const at = target(to, 2 * start, codes);
    if (dtype === 'F16') run.narrowF16(values, count, at);
    else if (dtype === 'BF16') run.narrowBf16(values, count, at);
    else throw new FedStreamError('internal', `${dtype} is not narrowed from float32`);
    take(to, 2 * start, 2 * count, codes);
  };
  return {
    encode(from, elements, scalesTo, codesTo) {
      let saturated = 0;
      for (let start = 0; start < elements; start += STAGE_ELEMENTS) {
        const count = Math.min(STAGE_ELEMENTS, elements - start);
        const source = bringValues(from, start, count);
        const scaleStart = kernel.scaleBytes(start);
        const codeStart = kernel.codeBytes(start);
        const bad = kernel.encode(source, count, target(scalesTo, scaleStart, scales), target(codesTo, codeStart, codes));
        if (bad >= 0) throw new NonFiniteValue(start + bad, new DataView(bytes.buffer).getFloat32(source + 4 * bad, true));
        saturated += kernel.saturated();
        take(scalesTo, scaleStart, kernel.scaleBytes(count), scales);
        take(codesTo, codeStart, kernel.codeBytes(count), codes);
      }
      return saturated;
    },
    decode(scalesFrom, codesFrom, elements, to) {
      for (let start = 0; start < elements; start += STAGE_ELEMENTS) {
        const count = Math.min(STAGE_ELEMENTS, elements - start);
        const scalesAt = bring(scalesFrom, kernel.scaleBytes(start), kernel.scaleBytes(count), scales);
        const codesAt = bring(codesFrom, kernel.codeBytes(start), kernel.codeBytes(count), codes);
        kernel.decode(scalesAt, codesAt, count, to.dtype === 'F32' ? target(to.bytes, 4 * start, values) : values);
        takeValues(to, start, count);
      }
    },
    accumulate(scalesFrom, codesFrom, weight, into) {
      const raw = rawOf(into).bytes;
      for (let start = 0; start < into.length; start += STAGE_ELEMENTS) {
        const count = Math.min(STAGE_ELEMENTS, into.length - start);
        const scalesAt = bring(scalesFrom, kernel.scaleBytes(start), kernel.scaleBytes(count), scales);
        const codesAt = bring(codesFrom, kernel.codeBytes(start), kernel.codeBytes(count), codes);
        const sum = bring(raw, 4 * start, 4 * count, values);
        kernel.accumulate(scalesAt, codesAt, count, weight, sum);
        take(raw, 4 * start, 4 * count, values);
      }
    },
  };
}
