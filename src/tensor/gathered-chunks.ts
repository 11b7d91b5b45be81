// The chunks of tensors that lie elsewhere: in another model, in another order, in several models.
import { tensorRange, tensorsIn } from './chunks.js';
import type { Manifest } from './manifest.js';
import type { Chunk, ChunkRange, StateDict } from './state-dict.js';

/** The model that has a tensor, and the tensor's position there. */
export interface Home {
  readonly model: StateDict;
  readonly index: number;
}

/**
 * The chunks of a manifest whose tensors have these homes, with chunks of the same size. Tensors
 * that follow one another in a model are read in one go.
 */
export async function* gatheredChunks(manifest: Manifest, homes: readonly Home[], range?: ChunkRange): AsyncGenerator<Chunk> {
  const wanted = range ?? { first: 0, end: Number.POSITIVE_INFINITY };
  const { first: firstTensor, last } = tensorsIn(manifest, wanted);
  for (let begin = firstTensor; begin < last; ) {
    const { model, index } = homes[begin] as Home;
    let next = begin + 1;
    while (next < last && homes[next]?.model === model && homes[next]?.index === index + next - begin) next++;
    const place = tensorRange(manifest, begin);
    const shift = tensorRange(model.manifest, index).first - place.first;
    const first = Math.max(place.first, wanted.first) + shift;
    const end = Math.min(tensorRange(manifest, next - 1).end, wanted.end) + shift;
    if (first < end)
      for await (const chunk of model.chunks({ first, end }))
        yield { ...chunk, tensorIndex: chunk.tensorIndex - index + begin, index: chunk.index - shift };
    begin = next;
  }
}
