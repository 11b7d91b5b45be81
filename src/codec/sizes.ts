// What a model weighs in each encoding: codes, scales, and the maps that some formats send with every tensor.
import { dtypeBytes, elementCount } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW } from '../tensor/manifest.js';
import type { CodecTable } from './codec.js';
import { layoutOf } from './layout.js';

export interface CodedSize {
  /** The codes alone. */
  readonly codeBytes: number;
  /** Block scales, as FedStream sends and stores them. */
  readonly scaleBytes: number;
  /** The code's map once a tensor, which bitsandbytes stores and the paper counts; FedStream sends none. */
  readonly mapBytes: number;
}

/** Values of each code's map. */
const MAP_VALUES: Readonly<Record<string, number>> = { blockwise8: 256, fp4: 16, nf4: 16 };

/** The size of a model with every tensor coded alike, by the codecs' own size functions. */
export function codedSize(manifest: Manifest, encoding: Encoding, codecs: CodecTable): CodedSize {
  const tensors = manifest.tensors.map((tensor) => ({ ...tensor, encoding }));
  const { totalBytes } = layoutOf({ ...manifest, tensors }, codecs);
  const codeBytes = tensors.reduce((total, { dtype, shape }) => total + bytesOfCodes(encoding, elementCount(shape), dtype), 0);
  const values = (MAP_VALUES[encoding.codec] ?? 0) + (encoding.nested ? (MAP_VALUES.blockwise8 as number) : 0);
  return { codeBytes, scaleBytes: totalBytes - codeBytes, mapBytes: tensors.length * values * 4 };
}

function bytesOfCodes({ codec }: Encoding, elements: number, dtype: Parameters<typeof dtypeBytes>[0]): number {
  if (codec === RAW.codec) return dtypeBytes(dtype, elements);
  if (codec === 'blockwise8') return elements;
  return codec === 'fp4' || codec === 'nf4' ? Math.ceil(elements / 2) : 2 * elements;
}
