// Sizes of a model in each encoding: codes, scales, and the maps that some formats store.
import { type Dtype, dtypeBytes, elementCount } from '../tensor/dtype.js';
import { type Encoding, type Manifest, RAW } from '../tensor/manifest.js';
import type { CodecTable } from './codec.js';
import { codecTraits, type EncodingTraits } from './codec-rows.js';
import { mostCodedBytes } from './layout.js';

/** Bytes of a coded model, by kind. */
export interface CodedSize {
  /** Bytes of the codes alone. */
  readonly codeBytes: number;
  /** Bytes of the block scales, as FedStream sends and stores them. */
  readonly scaleBytes: number;
  /**
   * Bytes of the code's map, once a tensor: bitsandbytes stores it and the paper counts it;
   * FedStream sends none.
   */
  readonly mapBytes: number;
}

/** The encoding of nested scales. */
const NESTED: Encoding = { codec: 'blockwise8' };

/**
 * The size of a model with every tensor coded alike, by the codecs' own size functions; if codes
 * vary in size, the most that it can be.
 */
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
