// What the block-wise codecs share: absmax of a block, its inverse, and float32 scales as little-endian bytes.
import { FedStreamError } from '../core/errors.js';

/** docs/spec/codecs.md, scaling: a block of zeros is scaled by 1 / 1e-38 rather than by infinity. */
const SMALLEST_ABSMAX = Math.fround(1e-38);

/** max |x| of a block; throws `non-finite` with the index (counted from the start of `values`). */
export function blockAbsmax(values: Float32Array, start: number, end: number): number {
  let absmax = 0;
  for (let i = start; i < end; i++) {
    const magnitude = Math.abs(values[i] as number);
    if (!(magnitude <= 3.4028234663852886e38)) throw new NonFiniteValue(i, values[i] as number);
    if (magnitude > absmax) absmax = magnitude;
  }
  return absmax;
}

/** `1 / max(absmax, 1e-38)` in float32. */
export function inverseScale(absmax: number): number {
  return Math.fround(1 / Math.max(absmax, SMALLEST_ABSMAX));
}

/** `clamp(x * inv, -1, 1)` in float32. */
export function scaled(value: number, inverse: number): number {
  return Math.max(-1, Math.min(1, Math.fround(value * inverse)));
}

/** A value that no codec can code; whoever knows the tensor adds its name. */
export class NonFiniteValue extends FedStreamError {
  /** Index in the chunk that was given to `encode`. */
  readonly index: number;
  readonly value: number;

  constructor(index: number, value: number) {
    super('non-finite', `element ${index} is ${value}`);
    this.index = index;
    this.value = value;
  }
}

/** Throws `bad-manifest` unless a coded chunk and its room are exactly of the sizes that belong together. */
export function checkSizes(name: string, elements: number, encodedBytes: number, bytes: Uint8Array): void {
  if (bytes.length === encodedBytes) return;
  throw new FedStreamError('bad-manifest', `a chunk of ${elements} elements in ${name} has ${encodedBytes} bytes, not ${bytes.length}`);
}

/** Little-endian float32 at any alignment. */
export function scaleView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
