// The dtype table of safetensors.
import { FedStreamError } from '../core/errors.js';

/** Traits of a dtype: its width, and if a codec may quantize it. */
export interface DtypeTraits {
  readonly bits: number;
  /**
   * Set if values are widened to float32 before a codec and narrowed after it; every other dtype
   * passes untouched.
   */
  readonly quantizable: boolean;
}

/** Names and widths as in the safetensors format (`Dtype` of the safetensors crate). */
export const DTYPES = {
  BOOL: { bits: 8, quantizable: false },
  F4: { bits: 4, quantizable: false },
  F6_E2M3: { bits: 6, quantizable: false },
  F6_E3M2: { bits: 6, quantizable: false },
  U8: { bits: 8, quantizable: false },
  I8: { bits: 8, quantizable: false },
  F8_E5M2: { bits: 8, quantizable: false },
  F8_E4M3: { bits: 8, quantizable: false },
  F8_E8M0: { bits: 8, quantizable: false },
  F8_E4M3FNUZ: { bits: 8, quantizable: false },
  F8_E5M2FNUZ: { bits: 8, quantizable: false },
  I16: { bits: 16, quantizable: false },
  U16: { bits: 16, quantizable: false },
  F16: { bits: 16, quantizable: true },
  BF16: { bits: 16, quantizable: true },
  I32: { bits: 32, quantizable: false },
  U32: { bits: 32, quantizable: false },
  F32: { bits: 32, quantizable: true },
  C64: { bits: 64, quantizable: false },
  F64: { bits: 64, quantizable: false },
  I64: { bits: 64, quantizable: false },
  U64: { bits: 64, quantizable: false },
} as const satisfies Record<string, DtypeTraits>;

/** The name of a dtype. */
export type Dtype = keyof typeof DTYPES;

/** True if safetensors has a dtype of this name. */
export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPES, name);
}

/** Number of elements of a shape; a scalar (`[]`) has one. Throws `limit` beyond 2^53 − 1. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const side of shape) {
    if (!Number.isSafeInteger(side) || side < 0)
      throw new FedStreamError('bad-manifest', `shape [${shape.join(', ')}] has a side that is not a count`);
    count *= side;
    if (!Number.isSafeInteger(count)) throw new FedStreamError('limit', `shape [${shape.join(', ')}] has more than 2^53 elements`);
  }
  return count;
}

/** Bytes of `elements` of a dtype; throws `bad-manifest` if they do not fill whole bytes. */
export function dtypeBytes(dtype: Dtype, elements: number): number {
  const bits = DTYPES[dtype].bits;
  const bytes = (elements / 8) * bits;
  if (!Number.isSafeInteger(bytes)) throw new FedStreamError('bad-manifest', `${elements} elements of ${dtype} do not fill whole bytes`);
  return bytes;
}
