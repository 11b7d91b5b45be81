// One coded tensor in memory as a state dict, so that filters and decoding work on it.
import { parseSizes } from '../codec/chunk-sizes.js';
import type { CodecTable } from '../codec/codec.js';
import { layoutOf, type TensorLayout, tensorLayouts } from '../codec/layout.js';
import type { Manifest, TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';

/**
 * `coded` is the tensor as it travels: its chunks one behind the other, in the chunk size of `of`
 * (its model's manifest), and before them their sizes if its codes vary in size.
 */
export function tensorModel(tensor: TensorEntry, coded: Uint8Array, of: Manifest, codecs: CodecTable): StateDict {
  const manifest: Manifest = { tensors: [tensor], chunkElements: of.chunkElements, tied: {}, metadata: {} };
  const [sized] = tensorLayouts(manifest, codecs) as [TensorLayout];
  const sizes = sized.varies ? new Map([[0, parseSizes(coded, tensor, sized, manifest, 'the transfer')]]) : undefined;
  const layout = layoutOf(manifest, codecs, sizes);
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for (const { offset, bytes, ...place } of layout.places(range)) yield { ...place, bytes: coded.subarray(offset, offset + bytes) };
  }
  return { manifest, chunks };
}
