// The weighted mean of the sites' results (McMahan et al. 2017), in float32 and in a fixed order:
// FedAvg's aggregator.
import { z } from 'zod';
import { poolFor } from '../../codec/quantize.js';
import { FedStreamError } from '../../core/errors.js';
import { row } from '../../core/row.js';
import { reduceChunks, sumModel } from '../../exchange/reduce.js';
import { DTYPES } from '../../tensor/dtype.js';
import { sameTensors } from '../../tensor/manifest-equality.js';
import { selectTensors, tensorsOf } from '../../tensor/select-tensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import type { Aggregator, AggregatorInput, Contribution } from './aggregator.js';
import { overlaid } from './overlay.js';
import { resultChunks } from './result-chunks.js';

/**
 * Replaces the tensors that the results have by the mean of the results; the others stay as they
 * were.
 */
export const mean: Aggregator = (input) => overlaid(input.previous, resultMean(input));

/** The row `mean`; it has no options. */
export const meanRow = row('mean', z.strictObject({}), () => mean);

/**
 * `base + sum over sites of float32(samples / total) × result`, over the tensors that the results
 * have. Results are added in the order of site names, so the bits do not depend on who came first.
 * Tensors that cannot be averaged follow the input's rule. Lazy; holds a few chunks in memory.
 */
export function resultMean({ results, previous, codecs, integers }: AggregatorInput): StateDict {
  const ordered = inOrder(results);
  const first = ordered[0] as Contribution;
  const weights = sampleWeights(ordered);
  const sum = {
    addends: ordered.map(({ model }, i) => ({ model, weight: weights[i] as number })),
    base: first.base && tensorsOf(first.base, first.model.manifest),
    codecs,
    pool: poolFor(first.model, codecs),
    what: 'the average of the results',
  };
  return resultChunks({ previous, integers }, ordered, (part) => reduceChunks(sum, part));
}

/**
 * The mean of the sites' changes to the global model, over the tensors that can be averaged;
 * float32, lazy. Updates are added up without the model, so nothing below half a unit of the
 * model's values is lost.
 */
export function meanUpdate({ results, previous, codecs }: AggregatorInput): StateDict {
  const ordered = inOrder(results).map((result) => ({ ...result, model: averagedOf(result.model) }));
  const first = ordered[0] as Contribution;
  const weights = sampleWeights(ordered);
  const addends = ordered.map(({ model }, i) => ({ model, weight: weights[i] as number }));
  const what = 'the average of the updates';
  if (first.isUpdate) return sumModel({ addends, codecs, what });
  const base = first.base && tensorsOf(first.base, first.model.manifest);
  return sumModel({ addends: [...addends, { model: tensorsOf(previous, first.model.manifest), weight: -1 }], base, codecs, what });
}

function averagedOf(model: StateDict): StateDict {
  return selectTensors(model, ({ dtype }) => DTYPES[dtype].quantizable);
}

/**
 * Sorts the results by site and checks that all have the same tensors, so that none is left out
 * silently. Throws `quorum` where there is no result, `bad-model` where they differ.
 */
export function inOrder(results: readonly Contribution[]): Contribution[] {
  const ordered = [...results].sort((a, b) => (a.site < b.site ? -1 : 1));
  const first = ordered[0];
  if (!first) throw new FedStreamError('quorum', 'there is no result to average');
  for (const other of ordered) sameTensors(first.model.manifest, other.model.manifest, `the result of ${other.site}`);
  return ordered;
}

/** The weight of each result, float32(samples / total): one site alone gets exactly 1. */
export function sampleWeights(contributions: readonly Pick<Contribution, 'site' | 'samples'>[]): number[] {
  let total = 0;
  for (const { site, samples } of contributions) {
    if (!Number.isFinite(samples) || samples <= 0)
      throw new FedStreamError('refused', `${site} reports ${samples} samples; a weight is above 0`);
    total += samples;
  }
  return contributions.map(({ samples }) => Math.fround(samples / total));
}
