// Aggregators that make each value of the next model of the sites' values at its position.
import { inFloat32, refuseUnaveraged } from '../../../codec/float32.js';
import { poolFor } from '../../../codec/quantize.js';
import { columnChunks, type ValueRule } from '../../../exchange/column-chunks.js';
import { tensorsOf } from '../../../tensor/select-tensors.js';
import type { StateDict } from '../../../tensor/state-dict.js';
import type { AggregatorInput, Contribution } from '../aggregator.js';
import { inOrder } from '../mean.js';
import { overlaid } from '../overlay.js';
import { resultChunks } from '../result-chunks.js';

/**
 * `base + rule(values of the chosen results)`, over the tensors that the results have; the others
 * stay as they were. `choose` gives the indices of the results that the rule sees, in the order of
 * the sites' names; all by default. It is called once, when the model is first read.
 */
export function byColumns(
  input: AggregatorInput,
  rule: (results: number) => ValueRule,
  what: string,
  choose?: (ordered: readonly Contribution[]) => Promise<readonly number[]>,
): StateDict {
  const { previous, codecs } = input;
  const ordered = inOrder(input.results).map((result) => ({ ...result, model: inFloat32(result.model) }));
  for (const { model, site } of ordered) refuseUnaveraged(model.manifest, `the result of ${site}`);
  const first = ordered[0] as Contribution;
  const base = first.base && tensorsOf(first.base, first.model.manifest);
  const all = ordered.map((_, index) => index);
  let chosen: Promise<readonly number[]> | undefined;
  const results = resultChunks(input, ordered, async function* (part) {
    chosen ??= choose ? choose(ordered) : Promise.resolve(all);
    const indices = await chosen;
    const models = indices.map((index) => (ordered[index] as Contribution).model);
    yield* columnChunks({ models, base, codecs, pool: poolFor(first.model, codecs), what, rule: rule(models.length) }, part);
  });
  return overlaid(previous, results);
}
