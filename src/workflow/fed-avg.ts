// FedAvg (McMahan et al. 2017): the mean of the sites' weights, each weighted by its samples, in float32 and in a fixed order.
import { FedStreamError } from '../core/errors.js';
import { tensorRange } from '../tensor/chunks.js';
import { DTYPES } from '../tensor/dtype.js';
import { sameTensors } from '../tensor/manifest-equality.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import type { Aggregator, Contribution } from './aggregator.js';

/**
 * `sum over sites of float32(samples / total) × weights`, added in the order of site names, so that the bits do not depend on
 * who came first. Tensors that cannot be averaged (counters, masks) are taken from the first site. Memory: a chunk a site.
 */
export function fedAvg(): Aggregator {
  return (contributions, previous) => {
    const ordered = [...contributions].sort((a, b) => (a.site < b.site ? -1 : 1));
    const first = ordered[0];
    if (!first) throw new FedStreamError('quorum', 'there is no result to average');
    for (const other of ordered) sameTensors(first.model.manifest, other.model.manifest, `the result of ${other.site}`);
    const weights = sampleWeights(ordered);
    const averaged = new Map(first.model.manifest.tensors.map((tensor, index) => [tensor.name, index]));
    return { manifest: previous.manifest, chunks: (range) => reduced(ordered, weights, previous, averaged, range) };
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

async function* reduced(
  contributions: readonly Contribution[],
  weights: readonly number[],
  previous: StateDict,
  averaged: ReadonlyMap<string, number>,
  range: ChunkRange = { first: 0, end: Number.POSITIVE_INFINITY },
): AsyncGenerator<Chunk> {
  for (const [tensorIndex, tensor] of previous.manifest.tensors.entries()) {
    const place = tensorRange(previous.manifest, tensorIndex);
    const first = Math.max(place.first, range.first);
    const end = Math.min(place.end, range.end);
    if (first >= end) continue;
    const index = averaged.get(tensor.name);
    const part = { first, end };
    if (index === undefined) {
      yield* previous.chunks(part);
      continue;
    }
    const source = (contributions[0] as Contribution).model;
    const shift = tensorRange(source.manifest, index).first - place.first;
    for await (const chunk of averagedTensor(contributions, weights, { first: first + shift, end: end + shift })) {
      yield { ...chunk, tensor, tensorIndex, index: chunk.index - shift };
    }
  }
}

async function* averagedTensor(
  contributions: readonly Contribution[],
  weights: readonly number[],
  range: ChunkRange,
): AsyncGenerator<Chunk> {
  const size = (contributions[0] as Contribution).model.manifest.chunkElements;
  const sum = new Float32Array(size);
  const values = new Float32Array(size);
  const bytes = new Uint8Array(size * 4);
  const sources = contributions.map(({ model }) => model.chunks(range)[Symbol.asyncIterator]());
  try {
    for (;;) {
      const chunks = await Promise.all(sources.map((source) => source.next()));
      const lead = chunks[0] as IteratorResult<Chunk>;
      if (lead.done) return;
      if (!DTYPES[lead.value.tensor.dtype].quantizable) {
        yield lead.value;
        continue;
      }
      const total = sum.subarray(0, lead.value.elements);
      // −0 is the neutral element of addition: −0 + x is x, bit for bit, for every x.
      total.fill(-0);
      for (const [site, chunk] of chunks.entries()) addWeighted(total, chunk.value as Chunk, weights[site] as number, values);
      yield { ...lead.value, bytes: narrowInto(lead.value.tensor.dtype, total, bytes) };
    }
  } finally {
    await Promise.all(sources.map((source) => source.return?.()));
  }
}

function addWeighted(total: Float32Array, chunk: Chunk, weight: number, values: Float32Array): void {
  const decoded = widenInto(chunk.tensor.dtype, chunk.bytes, values);
  for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + Math.fround(weight * (decoded[i] as number));
}
