// What a model weighs in each encoding: codes, scales, and the maps that some formats send with every tensor.
import { type Dtype, dtypeBytes, elementCount } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW } from '../tensor/manifest.js';
import type { CodecTable } from './codec.js';
import { codecTraits, type EncodingTraits } from './codec-rows.js';
import { mostCodedBytes } from './layout.js';

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

/** The size of a model with every tensor coded alike, by the codecs' own size functions; where codes vary in size, the most that it can be. */
export function codedSize(manifest: Manifest, encoding: Encoding, codecs: CodecTable): CodedSize {
  const tensors = manifest.tensors.map((tensor) => ({ ...tensor, encoding }));
  const totalBytes = mostCodedBytes({ ...manifest, tensors }, codecs);
  const traits = codecTraits(codecs, encoding);
  const bytesOf = (elements: number, dtype: Dtype): number =>
    encoding.codec === RAW.codec ? dtypeBytes(dtype, elements) : bytesOfCodes(traits, elements);
  const codeBytes = tensors.reduce((total, { dtype, shape }) => total + bytesOf(elementCount(shape), dtype), 0);
  const values = traits.mapValues + (encoding.nested ? codecTraits(codecs, NESTED).mapValues : 0);
  return { codeBytes, scaleBytes: totalBytes - codeBytes, mapBytes: tensors.length * values * 4 };
}

function bytesOfCodes({ bits, groupBytes }: EncodingTraits, elements: number): number {
  return groupBytes * Math.ceil((elements * bits) / (8 * groupBytes));
}
