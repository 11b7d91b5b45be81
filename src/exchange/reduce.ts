// The reduce: the sum of several models as a model, chunk by chunk.
import { refuseUnaveraged } from '../codec/float32.js';
import { poolFor } from '../codec/quantize.js';
import { RAW } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { type SumOptions, sumChunks } from './sum-chunks.js';

/** Options of `reduceChunks`. */
export type ReduceOptions = Omit<SumOptions, 'code'>;

/**
 * `base + sum of weight × decoded` as a raw model, lazy: the tensors of the first addend, in its
 * order. Each reading reads every addend. Throws `unsupported` for a float dtype that would be
 * copied from the first addend, and not added up (float64, the 8-bit floats, complex numbers).
 */
export function sumModel(options: Omit<ReduceOptions, 'pool'>): StateDict {
  const { model } = options.addends[0] as ReduceOptions['addends'][number];
  for (const { model: added } of options.addends) refuseUnaveraged(added.manifest, options.what);
  const tensors = model.manifest.tensors.map((tensor) => ({ ...tensor, encoding: RAW }));
  const sum = { ...options, pool: poolFor(model, options.codecs) };
  return { manifest: { ...model.manifest, tensors }, chunks: (range) => reduceChunks(sum, range) };
}

/**
 * The chunks of `base + sum of weight × decoded`, in the dtypes of the first addend; see
 * `sumChunks`.
 */
export async function* reduceChunks(options: ReduceOptions, range?: ChunkRange): AsyncGenerator<Chunk> {
  for await (const { chunk } of sumChunks(options, range)) yield chunk;
}
