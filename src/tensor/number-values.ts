// The values of dtypes that are not averaged, as numbers, for whoever compares them.
import type { Dtype } from './dtype.js';
import { widenF16 } from './float16.js';

/** Numbers of a typed array; 64-bit integers are bigints. */
export interface NumberValues {
  [index: number]: number | bigint;
  readonly length: number;
}

/** Views need aligned bytes; the others are copied. */
const aligned = (bytes: Uint8Array, width: number): Uint8Array => (bytes.byteOffset % width === 0 ? bytes : bytes.slice());

const INTEGERS: Partial<Record<Dtype, (bytes: Uint8Array) => NumberValues>> = {
  BOOL: (bytes) => bytes,
  U8: (bytes) => bytes,
  I8: ({ buffer, byteOffset, byteLength }) => new Int8Array(buffer, byteOffset, byteLength),
  I16: ({ buffer, byteOffset, byteLength }) => new Int16Array(buffer, byteOffset, byteLength / 2),
  U16: ({ buffer, byteOffset, byteLength }) => new Uint16Array(buffer, byteOffset, byteLength / 2),
  I32: ({ buffer, byteOffset, byteLength }) => new Int32Array(buffer, byteOffset, byteLength / 4),
  U32: ({ buffer, byteOffset, byteLength }) => new Uint32Array(buffer, byteOffset, byteLength / 4),
  I64: ({ buffer, byteOffset, byteLength }) => new BigInt64Array(buffer, byteOffset, byteLength / 8),
  U64: ({ buffer, byteOffset, byteLength }) => new BigUint64Array(buffer, byteOffset, byteLength / 8),
};

/**
 * A view of little-endian bytes as integers (a copy where they are not aligned); undefined for a
 * dtype that has none.
 */
export function integersOf(dtype: Dtype, bytes: Uint8Array): NumberValues | undefined {
  return INTEGERS[dtype]?.(aligned(bytes, 8));
}

/**
 * The values of a dtype that no codec takes, as float64: F64 and integers, complex numbers as pairs,
 * and the two 8-bit floats of PyTorch. Undefined for the others.
 */
export function float64Of(dtype: Dtype, bytes: Uint8Array): Float64Array | undefined {
  const { buffer, byteOffset, byteLength } = aligned(bytes, 8);
  if (dtype === 'F64') return new Float64Array(buffer, byteOffset, byteLength / 8);
  if (dtype === 'C64') return Float64Array.from(new Float32Array(buffer, byteOffset, byteLength / 4));
  if (dtype === 'F8_E5M2') return Float64Array.from(bytes, (bits) => widenF16(bits << 8));
  if (dtype === 'F8_E4M3') return Float64Array.from(bytes, widenE4m3);
  const integers = integersOf(dtype, bytes);
  return integers && Float64Array.from({ length: integers.length }, (_, i) => Number(integers[i]));
}

/** `float8_e4m3fn`: a bias of 7, no infinities, NaN where all bits but the sign are set. */
function widenE4m3(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >>> 3) & 15;
  const fraction = bits & 7;
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  return exponent === 0 ? (sign * fraction) / 512 : sign * (1 + fraction / 8) * 2 ** (exponent - 7);
}
