// The reduce: the sum of several models as a model, chunk by chunk.
import type { Chunk, ChunkRange } from '../tensor/state-dict.js';
import { type SumOptions, sumChunks } from './sum-chunks.js';

export type ReduceOptions = Omit<SumOptions, 'code'>;

/** The chunks of `base + sum of weight × decoded`, in the dtypes of the first addend; as `sumChunks` says. */
export async function* reduceChunks(options: ReduceOptions, range?: ChunkRange): AsyncGenerator<Chunk> {
  for await (const { chunk } of sumChunks(options, range)) yield chunk;
}
