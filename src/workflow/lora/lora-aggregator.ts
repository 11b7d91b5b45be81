// Aggregators of adapters: what a job's `lora` makes of its aggregator.
import { FedStreamError } from '../../core/errors.js';
import { type Lora, largestRank, siteRank } from '../../job/lora.js';
import { isMagnitude, type LoraPair, loraPairs } from '../../tensor/lora-pairs.js';
import { STACK } from '../../tensor/lora-stack.js';
import type { Product } from '../../tensor/low-rank/product.js';
import { selectTensors } from '../../tensor/select-tensors.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { tensorValues } from '../../tensor/tensor-values.js';
import { KEPT } from '../aggregate/aggregated.js';
import type { Aggregator, AggregatorInput, Contribution } from '../aggregate/aggregator.js';
import { overlaid } from '../aggregate/overlay.js';
import { bestRank } from './best-rank.js';
import { lifted } from './lifted.js';
import { exactRound, stackRank } from './residual-stack.js';
import { keptBeside, type Made, roundModules, termsBeside } from './round-modules.js';
import { RoundFactors, rankIn, rowsOfA, type SiteFactors } from './site-factors.js';

/** The name of the state that is kept from round to round: factors, with stack or error beside them. */
export const LORA_STATE = 'lora';
/** The same in the model store; it belongs to the model of its round. */
export const LORA_KEPT = KEPT + LORA_STATE;
/** The word in the names of what `svd` keeps beside factors. */
const ERROR = 'error';
/** What `svd` cuts off is kept up to so many times the adapter's rank; the smallest terms are dropped. */
const KEPT_RANKS = 2;

/**
 * The aggregator for adapters. `factors` and `ffa` average each factor as `inner` does; `exact` and
 * `svd` average the products, and other tensors as `inner` does. Results of smaller ranks are
 * brought to the rank of the global adapter first.
 */
export function loraAggregator(lora: Lora, inner: Aggregator): Aggregator {
  const { type } = lora;
  if (type === 'exact') return (input) => withModules(input, lora, inner, exactModules);
  if (type === 'svd') return (input) => withModules(input, lora, inner, svdModules);
  return lora.ranks ? (input) => inner({ ...input, results: input.results.map((result) => lifted(result, lora, input)) }) : inner;
}

/** What an adapter's pairs are made from. */
interface Round {
  readonly input: AggregatorInput;
  readonly lora: Lora;
  readonly pairs: readonly LoraPair[];
  /** In the order of their sites. */
  readonly results: readonly Contribution[];
  readonly factors: RoundFactors;
  /** What earlier rounds kept. */
  readonly before: StateDict | undefined;
}

async function withModules(input: AggregatorInput, lora: Lora, inner: Aggregator, made: (round: Round) => StateDict): Promise<StateDict> {
  const { previous, codecs, keep, state } = input;
  const pairs = checkedPairs(previous, lora);
  const results = [...input.results].sort((a, b) => (a.site < b.site ? -1 : 1));
  const round = { input, lora, pairs, results, factors: new RoundFactors(results, previous, codecs), before: state[LORA_STATE] };
  const kept = await keep(LORA_STATE, made(round));
  const ofPairs = new Set(pairs.flatMap(({ a, b }) => [a, b]));
  const others = results.map((result) => ({ ...result, model: selectTensors(result.model, ({ name }) => !ofPairs.has(name)) }));
  const hasOthers = others.some(({ model }) => model.manifest.tensors.length > 0);
  const rest = hasOthers ? await inner({ ...input, results: others }) : previous;
  return overlaid(rest, kept);
}

/** The pairs of an adapter that can be averaged so. Throws `bad-job`, naming what it lacks. */
export function checkedPairs({ manifest }: Pick<StateDict, 'manifest'>, lora: Lora): LoraPair[] {
  const pairs = loraPairs(manifest);
  const { type } = lora;
  if (pairs.length === 0)
    throw new FedStreamError(
      'bad-job',
      `lora: ${type} averages LoRA adapters, and no tensor of the model is a lora_A or lora_B; name a trainer that trains an adapter (the built-in one trains all weights), or leave lora out`,
    );
  const magnitude = manifest.tensors.find(({ name }) => isMagnitude(name));
  if (type === 'exact' && magnitude)
    throw new FedStreamError(
      'bad-job',
      `lora: exact adds to the base, and DoRA divides by a norm of the base (${magnitude.name}); take svd or factors`,
    );
  const rank = largestRank(lora);
  const other = rank === undefined ? undefined : pairs.find((pair) => pair.rank !== rank);
  if (other)
    throw new FedStreamError(
      'bad-job',
      `lora.ranks: the largest rank is ${rank}, and ${other.a} of the model has ${other.rank}: begin with an adapter of that rank in every module (no rank_pattern)`,
    );
  return pairs;
}

function svdModules({ input, lora, pairs, results, factors, before }: Round): StateDict {
  const { previous } = input;
  const ranksOf = (pair: LoraPair): number[] => results.map(({ model }) => rankIn(model.manifest, pair.a) ?? pair.rank);
  const termsOf = (pair: LoraPair): number => {
    const spanned = ranksOf(pair).reduce((sum, rank) => sum + rank, 0) + termsBeside(before?.manifest, pair.a, ERROR);
    return Math.max(0, Math.min(spanned, pair.inputs, pair.outputs, (1 + KEPT_RANKS) * pair.rank) - pair.rank);
  };
  const directions = lora.ranks ? 'principal' : 'mean';
  const make = async (pair: LoraPair): Promise<Made> => {
    const spare = rowsOfA(await tensorValues(previous, pair.a), pair.rank);
    const error = await keptBeside(before, pair, ERROR);
    const sites = scaledToGlobal(await factors.of(pair), results, lora);
    const { factors: next, cut } = bestRank(sites, { rank: pair.rank, kept: termsOf(pair), error, spare, directions });
    return { factors: next, beside: cut };
  };
  return roundModules({ pairs, previous: previous.manifest, word: ERROR, termsOf, make });
}

function exactModules({ input, lora, pairs, results, factors, before }: Round): StateDict {
  const { stackRank: most = Number.POSITIVE_INFINITY } = lora;
  const termsOf = (pair: LoraPair): number => Math.min(most, stackRank(termsBeside(before?.manifest, pair.a, STACK), results.length, pair));
  const make = async (pair: LoraPair): Promise<Made> => {
    const stack: Product | undefined = await keptBeside(before, pair, STACK);
    const made = exactRound(await factors.of(pair), termsOf(pair), stack);
    return { factors: made.factors, beside: made.stack };
  };
  return roundModules({ pairs, previous: input.previous.manifest, word: STACK, termsOf, make });
}

/** Products scaled as the global adapter scales them, where the sites' own scalings differ. */
function scaledToGlobal(sites: readonly SiteFactors[], results: readonly Contribution[], lora: Lora): readonly SiteFactors[] {
  return sites.map((site, index) => {
    const { scale = 1 } = siteRank(lora, (results[index] as Contribution).site) ?? {};
    return scale === 1 ? site : { ...site, left: { ...site.left, data: site.left.data.map((value) => value * scale) } };
  });
}
