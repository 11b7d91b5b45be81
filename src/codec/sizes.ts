// What a model weighs in each encoding: codes, scales, and the maps that some formats send with every tensor.
import { type Dtype, dtypeBytes, elementCount } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW } from '../tensor/manifest.js';
import type { CodecTable } from './codec.js';
import { codecTraits } from './codec-traits.js';
import { layoutOf } from './layout.js';

export interface CodedSize {
  /** The codes alone. */
  readonly codeBytes: number;
  /** Block scales, as FedStream sends and stores them. */
  readonly scaleBytes: number;
  /** The code's map once a tensor, which bitsandbytes stores and the paper counts; FedStream sends none. */
  readonly mapBytes: number;
}

/** What nested scales are coded as. */
const NESTED: Encoding = { codec: 'blockwise8' };

/** The size of a model with every tensor coded alike, by the codecs' own size functions. */
export function codedSize(manifest: Manifest, encoding: Encoding, codecs: CodecTable): CodedSize {
  const tensors = manifest.tensors.map((tensor) => ({ ...tensor, encoding }));
  const { totalBytes } = layoutOf({ ...manifest, tensors }, codecs);
  const codeBytes = tensors.reduce((total, { dtype, shape }) => total + bytesOfCodes(encoding, elementCount(shape), dtype), 0);
  const values = codecTraits(encoding).mapValues + (encoding.nested ? codecTraits(NESTED).mapValues : 0);
  return { codeBytes, scaleBytes: totalBytes - codeBytes, mapBytes: tensors.length * values * 4 };
}

function bytesOfCodes(encoding: Encoding, elements: number, dtype: Dtype): number {
  if (encoding.codec === RAW.codec) return dtypeBytes(dtype, elements);
  const { bits, groupBytes } = codecTraits(encoding);
  return groupBytes * Math.ceil((elements * bits) / (8 * groupBytes));
}
