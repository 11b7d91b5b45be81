// A model of seeded normal weights that is made while it is read.
import { randomStream } from '../../core/random.js';
import { chunkPlaces } from '../../tensor/chunks.js';
import type { Manifest } from '../../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../../tensor/state-dict.js';

const TABLE_VALUES = 2 ** 20;
/** The standard deviation with which transformers initializes Llama. */
const DEVIATION = 0.02;

/**
 * A model of normal weights, F32 only. Every weight is one of 2^20 normal values, which each chunk
 * picks by a start and an odd stride of its own: 1 ns a weight instead of 100.
 */
export function normalModel(manifest: Manifest, seed: number): StateDict {
  const draws = randomStream(seed, 'weights');
  const table = Float32Array.from({ length: TABLE_VALUES }, () => draws.normal() * DEVIATION);
  return { manifest, chunks: (range) => normalChunks(manifest, table, seed, range) };
}

async function* normalChunks(manifest: Manifest, table: Float32Array, seed: number, range?: ChunkRange): AsyncGenerator<Chunk> {
  const values = new Float32Array(manifest.chunkElements);
  const bytes = new Uint8Array(values.buffer);
  for (const place of chunkPlaces(manifest, range)) {
    const draws = randomStream(seed, 'chunk', place.index);
    let at = draws.integer(TABLE_VALUES);
    const stride = 2 * draws.integer(1024) + 1;
    for (let i = 0; i < place.elements; i++) {
      values[i] = table[at] as number;
      at = (at + stride) & (TABLE_VALUES - 1);
    }
    yield { ...place, bytes: bytes.subarray(0, place.elements * 4) };
  }
}

/** The same with one chunk's values in every chunk, for measurements that do not depend on them. */
export function repeatedModel(manifest: Manifest, seed: number): StateDict {
  const draws = randomStream(seed, 'weights');
  const values = Float32Array.from({ length: manifest.chunkElements }, () => draws.normal() * DEVIATION);
  const bytes = new Uint8Array(values.buffer);
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for (const place of chunkPlaces(manifest, range)) yield { ...place, bytes: bytes.subarray(0, place.elements * 4) };
  }
  return { manifest, chunks };
}
