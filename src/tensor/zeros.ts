// A state dict of zeros, or of another value, with which algorithms begin their state.
import { chunkPlaces } from './chunks.js';
import { DTYPES, dtypeBytes } from './dtype.js';
import { type Manifest, RAW } from './manifest.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';

/**
 * Zeros in float32, with the names and shapes of the tensors that can be averaged; lazy, with one
 * chunk of memory.
 */
export function zerosLike(manifest: Manifest): StateDict {
  return filledLike(manifest, 0);
}

/** Like `zerosLike`, with `value` in place of zero. */
export function filledLike({ tensors, chunkElements }: Manifest, value: number): StateDict {
  const floats = tensors.filter(({ dtype }) => DTYPES[dtype].quantizable);
  const manifest: Manifest = {
    tensors: floats.map(({ name, shape }) => ({ name, dtype: 'F32', shape, encoding: RAW })),
    chunkElements,
    tied: {},
    metadata: {},
  };
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    let filled = new Uint8Array(0);
    for (const place of chunkPlaces(manifest, range)) {
      const bytes = dtypeBytes('F32', place.elements);
      if (filled.length < bytes) filled = new Uint8Array(new Float32Array(place.elements).fill(value).buffer);
      yield { ...place, bytes: filled.subarray(0, bytes) };
    }
  }
  return { manifest, chunks };
}
