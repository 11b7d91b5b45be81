// FedAvg (McMahan et al. 2017): the mean of the sites' weights, each weighted by its samples, in float32 and in a fixed order.
import type { CodecTable } from '../codec/codec.js';
import { poolFor } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import { reduceChunks } from '../exchange/reduce.js';
import { tensorRange } from '../tensor/chunks.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import { selectTensors } from '../tensor/select-tensors.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import type { Aggregator, Contribution } from './aggregator.js';

/**
 * `base + sum over sites of float32(samples / total) × result`, added in the order of site names, so that the bits do not depend on
 * who came first. Tensors that cannot be averaged (counters, masks) are taken from the first site. Memory: some chunks.
 */
export function fedAvg(codecs: CodecTable): Aggregator {
  return (contributions, previous) => {
    const ordered = [...contributions].sort((a, b) => (a.site < b.site ? -1 : 1));
    const first = ordered[0];
    if (!first) throw new FedStreamError('quorum', 'there is no result to average');
    for (const other of ordered) sameTensors(first.model.manifest, other.model.manifest, `the result of ${other.site}`);
    const names = new Set(first.model.manifest.tensors.map(({ name }) => name));
    const weights = sampleWeights(ordered);
    const reduce = {
      addends: ordered.map(({ model }, i) => ({ model, weight: weights[i] as number })),
      base: first.base && selectTensors(first.base, ({ name }) => names.has(name)),
      codecs,
      pool: poolFor(first.model, codecs),
      what: 'the average of the results',
    };
    const positions = new Map(first.model.manifest.tensors.map(({ name }, index) => [name, index]));
    const chunks = (range?: ChunkRange) => merged(previous, positions, first.model, (part) => reduceChunks(reduce, part), range);
    return { manifest: previous.manifest, chunks };
  };
}

/** float32(samples / total): one site alone gets exactly 1. */
function sampleWeights(contributions: readonly Contribution[]): number[] {
  let total = 0;
  for (const { site, samples } of contributions) {
    if (!Number.isFinite(samples) || samples <= 0)
      throw new FedStreamError('refused', `${site} reports ${samples} samples; a weight is above 0`);
    total += samples;
  }
  return contributions.map(({ samples }) => Math.fround(samples / total));
}

/** The tensors of `previous` in their order, as many in a row as the results have from the results, the others as they were. */
async function* merged(
  previous: StateDict,
  positions: ReadonlyMap<string, number>,
  result: StateDict,
  reduced: (range: ChunkRange) => AsyncIterable<Chunk>,
  range: ChunkRange = { first: 0, end: Number.POSITIVE_INFINITY },
): AsyncGenerator<Chunk> {
  const { tensors } = previous.manifest;
  for (let begin = 0; begin < tensors.length; ) {
    const position = positions.get((tensors[begin] as (typeof tensors)[number]).name);
    let end = begin + 1;
    while (end < tensors.length && positions.get((tensors[end] as (typeof tensors)[number]).name) === follower(position, end - begin))
      end++;
    const place = { first: tensorRange(previous.manifest, begin).first, end: tensorRange(previous.manifest, end - 1).end };
    const part = { first: Math.max(place.first, range.first), end: Math.min(place.end, range.end) };
    if (part.first < part.end) {
      if (position === undefined) yield* previous.chunks(part);
      else {
        const shift = tensorRange(result.manifest, position).first - place.first;
        for await (const chunk of reduced({ first: part.first + shift, end: part.end + shift })) {
          const tensorIndex = chunk.tensorIndex - position + begin;
          yield { ...chunk, tensor: tensors[tensorIndex] as (typeof tensors)[number], tensorIndex, index: chunk.index - shift };
        }
      }
    }
    begin = end;
  }
}

/** The position that goes on a run of tensors, or of missing ones. */
function follower(position: number | undefined, ahead: number): number | undefined {
  return position === undefined ? undefined : position + ahead;
}
