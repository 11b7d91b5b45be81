// A model with some of its tensors replaced by those of another; the rest stay as they were.
import { tensorRange } from '../../tensor/chunks.js';
import type { Chunk, ChunkRange, StateDict } from '../../tensor/state-dict.js';

/**
 * The tensors of `model` in their order; those that `other` has come from `other`. Lazy.
 * Consecutive tensors from the same model are read in one go.
 */
export function overlaid(model: StateDict, other: StateDict): StateDict {
  const positions = new Map(other.manifest.tensors.map(({ name }, index) => [name, index]));
  return { manifest: model.manifest, chunks: (range) => merged(model, positions, other, range) };
}

async function* merged(
  model: StateDict,
  positions: ReadonlyMap<string, number>,
  other: StateDict,
  range: ChunkRange = { first: 0, end: Number.POSITIVE_INFINITY },
): AsyncGenerator<Chunk> {
  const { tensors } = model.manifest;
  const positionOf = (index: number): number | undefined => positions.get((tensors[index] as (typeof tensors)[number]).name);
  for (let begin = 0; begin < tensors.length; ) {
    const position = positionOf(begin);
    let end = begin + 1;
    while (end < tensors.length && positionOf(end) === follower(position, end - begin)) end++;
    const place = { first: tensorRange(model.manifest, begin).first, end: tensorRange(model.manifest, end - 1).end };
    const part = { first: Math.max(place.first, range.first), end: Math.min(place.end, range.end) };
    if (part.first < part.end) {
      if (position === undefined) yield* model.chunks(part);
      else {
        const shift = tensorRange(other.manifest, position).first - place.first;
        for await (const chunk of other.chunks({ first: part.first + shift, end: part.end + shift })) {
          const tensorIndex = chunk.tensorIndex - position + begin;
          yield { ...chunk, tensor: tensors[tensorIndex] as (typeof tensors)[number], tensorIndex, index: chunk.index - shift };
        }
      }
    }
    begin = end;
  }
}

/**
 * The position `ahead` tensors further on in the same run; undefined for a run of missing tensors.
 */
function follower(position: number | undefined, ahead: number): number | undefined {
  return position === undefined ? undefined : position + ahead;
}
