// An optimizer at the server as an aggregator ("FedOpt", Reddi et al. 2021): what the mean of the
// results changes of the model is the update of a step. One pass makes the model and the moments.
import { momentsOf, type OptimizerRule } from '../../codec/optimizer-step.js';
import { FedStreamError } from '../../core/errors.js';
import { sumChunks } from '../../exchange/sum-chunks.js';
import { tensorRange } from '../../tensor/chunks.js';
import type { Chunk, ChunkRange } from '../../tensor/state-dict.js';
import type { Aggregator, AggregatorInput, Made, NextModel } from './aggregator.js';
import { mean, resultMean } from './mean.js';
import { type MomentName, type Run, type StepPlan, stepPlan } from './optimizer-plan.js';
import { overlaid } from './overlay.js';

/**
 * The aggregator of an optimizer. `ruleFor` gives the rule of a round, and `names` the moments that
 * it may keep. A step that would be the mean itself (plain, at rate 1, without decay) is made as
 * `mean` makes it, to the bit.
 *
 * A tensor that no result of a round has stays as it was, and so do its moments. Moments of a tensor
 * that is seen for the first time begin with their constant. Tensors that cannot be averaged follow
 * the job's rule.
 */
export function optimizer(
  ruleFor: (input: AggregatorInput) => OptimizerRule,
  names: Readonly<Record<'first' | 'second', MomentName>>,
): Aggregator {
  return (input) => {
    const rule = ruleFor(input);
    if (rule.name === 'sgd' && rule.rate === 1 && rule.keep === 1) return mean(input);
    const kept = momentsOf(rule).map((which) => names[which]);
    return stepped(input, stepPlan(input, rule, kept));
  };
}

/** The model after the step and, where moments are kept, those in the same reading. */
function stepped(input: AggregatorInput, plan: StepPlan): NextModel {
  const { manifest } = input.previous;
  const others = overlaid(input.previous, resultMean(input));

  async function* made(keeps: boolean, range: ChunkRange = { first: 0, end: Number.POSITIVE_INFINITY }): AsyncGenerator<Made> {
    const parts = plan.runs.map((run) => ({ run, first: Math.max(run.first, range.first), end: Math.min(run.end, range.end) }));
    const steps = sumChunks(plan.sum, rangeOfSteps(parts));
    try {
      for (const { run, first, end } of parts) {
        if (!run.moves) {
          if (keeps) yield* unmoved(plan, run, input);
          if (first < end) for await (const chunk of others.chunks({ first, end })) yield { chunk };
          continue;
        }
        for (let index = first; index < end; index++) {
          const { done, value } = await steps.next();
          if (done) throw new FedStreamError('internal', 'the steps end before the model does');
          const { chunk, moments = [] } = value;
          if (keeps) for (const [i, { name }] of plan.kept.entries()) yield { name, bytes: moments[i] as Uint8Array };
          const tensorIndex = chunk.tensorIndex + run.tensors.first - run.firstMoved;
          yield { chunk: { ...chunk, tensorIndex, index } };
        }
      }
    } finally {
      await steps.return(undefined);
    }
  }
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for await (const one of made(false, range)) if ('chunk' in one) yield one.chunk;
  }
  const model = { manifest, chunks };
  return plan.kept.length === 0 ? model : { ...model, together: { manifests: plan.manifests, chunks: () => made(true) } };
}

interface Part extends ChunkRange {
  readonly run: Run;
}

/** The chunks of the sum that parts of the model need. */
function rangeOfSteps(parts: readonly Part[]): ChunkRange {
  const moving = parts.filter(({ run, first, end }) => run.moves && first < end);
  const [begin, last] = [moving[0], moving.at(-1)];
  if (!begin || !last) return { first: 0, end: 0 };
  return { first: begin.first + begin.run.shift, end: last.end + last.run.shift };
}

/** The moments of tensors that no result of this round has, as they were. */
async function* unmoved({ kept }: StepPlan, { tensors }: Run, { previous, state }: AggregatorInput): AsyncGenerator<Made> {
  const names = new Set(previous.manifest.tensors.slice(tensors.first, tensors.end).map(({ name }) => name));
  for (const { name } of kept) {
    const older = state[name];
    const places = older?.manifest.tensors.flatMap((tensor, index) => (names.has(tensor.name) ? [index] : [])) ?? [];
    for (const index of places)
      for await (const { bytes } of older?.chunks(tensorRange(older.manifest, index)) ?? []) yield { name, bytes };
  }
}
