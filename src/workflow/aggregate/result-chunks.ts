// The tensors of a round's results: floats by an aggregator's rule, and those that cannot be
// averaged by the job's.
import { tensorRange } from '../../tensor/chunks.js';
import { DTYPES } from '../../tensor/dtype.js';
import { type Manifest, RAW, type TensorEntry } from '../../tensor/manifest.js';
import { tensorsOf } from '../../tensor/select-tensors.js';
import type { Chunk, ChunkRange, StateDict } from '../../tensor/state-dict.js';
import type { AggregatorInput, Contribution } from './aggregator.js';
import { integerChunks } from './integers.js';

/**
 * The tensors that the results have, raw: `floats` gives the chunks of those that can be averaged,
 * the input's rule for integers those of the others. `ordered` are the results in the order of
 * their sites. Lazy.
 */
export function resultChunks(
  { previous, integers }: Pick<AggregatorInput, 'previous' | 'integers'>,
  ordered: readonly Contribution[],
  floats: (part: ChunkRange) => AsyncIterable<Chunk>,
): StateDict {
  const { manifest: like } = (ordered[0] as Contribution).model;
  const manifest = { ...like, tensors: like.tensors.map((tensor) => ({ ...tensor, encoding: RAW })) };
  const kept = integers === 'previous' ? [{ site: 'the server', model: tensorsOf(previous, like) }] : ordered;
  async function* chunks(range: ChunkRange = { first: 0, end: Number.POSITIVE_INFINITY }): AsyncGenerator<Chunk> {
    for (const { averaged, ...run } of runs(manifest)) {
      const part = { first: Math.max(run.first, range.first), end: Math.min(run.end, range.end) };
      if (part.first >= part.end) continue;
      yield* averaged ? floats(part) : integerChunks(integers, kept, part);
    }
  }
  return { manifest, chunks };
}

interface Run extends ChunkRange {
  readonly averaged: boolean;
}

/** Splits the tensors into runs of consecutive ones that are all averaged, or all not averaged. */
function* runs(manifest: Manifest): Generator<Run> {
  const { tensors } = manifest;
  const isAveraged = (index: number): boolean => DTYPES[(tensors[index] as TensorEntry).dtype].quantizable;
  for (let begin = 0; begin < tensors.length; ) {
    const averaged = isAveraged(begin);
    let end = begin + 1;
    while (end < tensors.length && isAveraged(end) === averaged) end++;
    yield { averaged, first: tensorRange(manifest, begin).first, end: tensorRange(manifest, end - 1).end };
    begin = end;
  }
}
