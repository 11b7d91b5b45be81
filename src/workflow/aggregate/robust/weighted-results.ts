// Aggregators that first look at all results, and then add them up with weights of their own.
import { inFloat32 } from '../../../codec/float32.js';
import { poolFor } from '../../../codec/quantize.js';
import { reduceChunks } from '../../../exchange/reduce.js';
import type { Addend, SumOptions } from '../../../exchange/sum-chunks.js';
import { tensorsOf } from '../../../tensor/select-tensors.js';
import type { StateDict } from '../../../tensor/state-dict.js';
import type { AggregatorInput, Contribution } from '../aggregator.js';
import { inOrder, sampleWeights } from '../mean.js';
import { overlaid } from '../overlay.js';
import { resultChunks } from '../result-chunks.js';

/**
 * `base + sum of weight × result`, and the last global model with what is missing of the sum of the
 * weights to 1, where results are whole weights. `weigh` gives the weights in the order of the
 * sites' names; a result of weight 0 is not read. It is called once, when the model is first read.
 */
export function byWeights(
  input: AggregatorInput,
  weigh: (ordered: readonly Contribution[]) => Promise<readonly number[]>,
  what: string,
): StateDict {
  const { previous, codecs } = input;
  const ordered = inOrder(input.results).map((result) => ({ ...result, model: inFloat32(result.model) }));
  const first = ordered[0] as Contribution;
  const base = first.base && tensorsOf(first.base, first.model.manifest);
  let sum: Promise<SumOptions> | undefined;
  const make = async (): Promise<SumOptions> => {
    const weights = await weigh(ordered);
    const addends: Addend[] = ordered.flatMap(({ model }, i) =>
      weights[i] === 0 ? [] : [{ model, weight: Math.fround(weights[i] as number) }],
    );
    const rest = first.isUpdate ? 0 : 1 - weights.reduce((all, one) => all + one, 0);
    if (Math.abs(rest) > ROUNDING) {
      // What the sites were given is the last model less the base.
      addends.push({ model: tensorsOf(previous, first.model.manifest), weight: Math.fround(rest) });
      if (base) addends.push({ model: base, weight: Math.fround(-rest) });
    }
    // Where nothing is added, as of results that change nothing, the base alone is the sum.
    if (addends.length === 0) addends.push({ model: first.model, weight: 0 });
    return { addends, base, codecs, pool: poolFor(first.model, codecs), what };
  };
  const results = resultChunks(input, ordered, async function* (part) {
    sum ??= make();
    yield* reduceChunks(await sum, part);
  });
  return overlaid(previous, results);
}

/** Weights that add up to 1 but for the rounding of float64 leave nothing to the last model. */
const ROUNDING = 1e-9;

/** The weights of `mean` before they are rounded to float32: samples / total. */
export function exactWeights(ordered: readonly Contribution[]): number[] {
  sampleWeights(ordered); // refuses samples that are no weights
  const total = ordered.reduce((sum, { samples }) => sum + samples, 0);
  return ordered.map(({ samples }) => samples / total);
}
