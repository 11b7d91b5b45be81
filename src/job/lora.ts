// A job's rule for averaging LoRA adapters (docs/lora.md): its schema, and what it cannot be
// combined with.
import { z } from 'zod';
import { listed } from '../core/listed.js';
import type { Choice } from '../core/row.js';
import type { Coding } from '../filter/coding.js';
import type { FilterPoint } from '../filter/filter.js';
import { FACTOR_A } from '../tensor/lora-pairs.js';

/** The ways of averaging an adapter. */
export const LORA_TYPES = ['factors', 'ffa', 'exact', 'svd'] as const;

/** The largest rank of an adapter that a job may name. */
const MOST_RANK = 65_536;

const rank = z.int().min(1).max(MOST_RANK);
const own = z.union(
  [
    rank.transform((r): { rank: number; alpha?: number | undefined } => ({ rank: r })),
    z.strictObject({ rank, alpha: z.number().positive().optional() }),
  ],
  {
    error: 'must be a rank, or {"rank": 8, "alpha": 16}',
  },
);

/** The schema of a job's `lora`. */
export const loraSchema = z
  .union(
    [
      z.enum(LORA_TYPES),
      z.strictObject({
        type: z.enum(LORA_TYPES),
        /** The rank of each site's own adapter, where sites differ, and its `lora_alpha` where scalings do. */
        ranks: z.record(z.string(), own).optional(),
        /** True where PEFT's `use_rslora` is: products are scaled by alpha / √rank. */
        rslora: z.boolean().optional(),
        /** The most terms of a module's stack with `exact`; without it, as many as exactness needs. */
        stackRank: z.int().min(1).max(MOST_RANK).optional(),
      }),
    ],
    { error: `must be one of ${LORA_TYPES.join(', ')}, or {"type": "svd", "ranks": {"site-1": 4, …}}` },
  )
  .transform((value) => (typeof value === 'string' ? { type: value } : value));

/** The rule of a job, with short forms resolved. */
export type Lora = z.output<typeof loraSchema>;

/** The adapter of one site among sites of different ranks. */
export interface SiteRank {
  readonly rank: number;
  /** The scaling of its products, divided by that of the adapter of the largest rank. */
  readonly scale: number;
}

/** The fields that the rule is checked against. */
export interface LoraSetting {
  readonly lora: Lora;
  readonly aggregator: { readonly type: string };
  readonly workflow: { readonly type: string };
  readonly quantize: Pick<Coding, 'first' | 'whole' | 'feedback'>;
  readonly delta?: boolean | undefined;
}

/** What each way needs of the rest of the job. */
const NEEDS: Readonly<Record<Lora['type'], { readonly ranks: boolean; readonly meanOf?: string; readonly why?: string }>> = {
  factors: { ranks: true },
  ffa: { ranks: false },
  exact: { ranks: false, meanOf: 'the products', why: 'the residual belongs to the means of A and B' },
  svd: {
    ranks: true,
    meanOf: 'the products',
    why: 'its factors are turned in each round, so that no step or state of an earlier one fits them',
  },
};
/** The workflows whose rounds give every result the same start, so that products can be averaged. */
const IN_ROUNDS: ReadonlySet<string> = new Set(['fedAvg', 'fedProx', 'cyclic']);

/** Why the job cannot be run with its `lora`, beginning with the field; undefined if it can. */
export function wrongLora({ lora, aggregator, workflow, quantize, delta }: LoraSetting, sites: readonly string[]): string | undefined {
  const { type, ranks, stackRank } = lora;
  const needs = NEEDS[type];
  if (stackRank !== undefined && type !== 'exact') return `lora.stackRank: ${type} has no stack; it goes with exact`;
  if (ranks && !needs.ranks) return `lora.ranks: ${type} needs one rank at all sites; sites of different ranks are for svd and factors`;
  if (needs.meanOf !== undefined && aggregator.type !== 'mean')
    return `aggregator: lora ${type} takes the mean of ${needs.meanOf}, and ${aggregator.type} cannot be combined with it: ${needs.why}; leave one out, or take lora "ffa"`;
  if ((needs.meanOf !== undefined || ranks) && !IN_ROUNDS.has(workflow.type))
    return `workflow: lora ${type}${ranks ? ' with ranks' : ''} goes with ${listed([...IN_ROUNDS], IN_ROUNDS.size)}, and the job says ${workflow.type}`;
  if ((quantize.whole === true || delta === false) && type !== 'factors')
    return `quantize: lora ${type} is spoiled by coding whole weights, which changes every factor in every round; send updates ("u4", "lean", "bf16")`;
  if (type === 'ffa' && quantize.first !== undefined && quantize.first !== 'base' && quantize.first !== 'raw')
    return 'quantize.first: lora ffa never sends A again, so that what coding loses of it at the start stays lost; begin with "base" or "raw"';
  return ranks && wrongRanks(lora, sites, quantize.feedback);
}

function wrongRanks({ ranks = {}, type }: Lora, sites: readonly string[], feedback: boolean | undefined): string | undefined {
  const without = sites.find((site) => !Object.hasOwn(ranks, site));
  if (without !== undefined) return `lora.ranks: ${without} has no rank; each site of the job needs one`;
  const unknown = Object.keys(ranks).find((site) => !sites.includes(site));
  if (unknown !== undefined) return `lora.ranks: ${unknown} is no site of the job`;
  const alphas = Object.values(ranks).filter((one) => one.alpha !== undefined).length;
  if (alphas > 0 && alphas < sites.length) return 'lora.ranks: some sites have an alpha and others none; give all of them one, or none';
  if (type === 'svd' && feedback === true)
    return 'quantize.feedback: what coding kept back of one round has other directions in the next one with lora svd and ranks; leave it out';
  return undefined;
}

/** The largest rank of the job's sites, which the global adapter has; undefined where the job gives no ranks. */
export function largestRank({ ranks }: Lora): number | undefined {
  return ranks && Math.max(...Object.values(ranks).map((one) => one.rank));
}

/** The rank of a site's own adapter, and how its products are scaled; undefined where sites do not differ. */
export function siteRank(lora: Lora, site: string): SiteRank | undefined {
  const own = lora.ranks && Object.hasOwn(lora.ranks, site) ? lora.ranks[site] : undefined;
  if (!own) return undefined;
  return { rank: own.rank, scale: scalingOf(own, lora) / globalScaling(lora) };
}

/** The scaling of the global adapter: that of the site with the largest rank, the first by name. */
function globalScaling(lora: Lora): number {
  const all = Object.entries(lora.ranks ?? {}).sort(([a, x], [b, y]) => y.rank - x.rank || (a < b ? -1 : 1));
  const [, largest] = all[0] ?? ['', { rank: 1 }];
  return scalingOf(largest, lora);
}

/** Alpha / r, or alpha / √r; 1 where the job gives no alphas, since all sites then scale alike. */
function scalingOf(own: { readonly rank: number; readonly alpha?: number | undefined }, { rslora }: Lora): number {
  if (own.alpha === undefined) return 1;
  return own.alpha / (rslora ? Math.sqrt(own.rank) : own.rank);
}

/** The fields that a job's `lora` changes. */
interface Changed {
  lora: Lora;
  quantize: Coding;
  filters?: Partial<Record<FilterPoint, Choice[]>> | undefined;
}

/**
 * The job with what follows from its `lora`: with `ffa` results leave A out; with `svd` and ranks
 * nothing that coding kept back is added later, since directions are turned.
 */
export function withLora<J extends Changed>(job: J): J {
  const { lora, quantize, filters = {} } = job;
  if (lora.type === 'ffa') {
    const frozen: Choice = { type: 'exclude', patterns: [...FACTOR_A] };
    const own = filters['result-out'] ?? [];
    const has = own.some((filter) => JSON.stringify(filter) === JSON.stringify(frozen));
    return has ? job : { ...job, filters: { ...filters, 'result-out': [frozen, ...own] } };
  }
  return lora.type === 'svd' && lora.ranks && quantize.feedback === undefined
    ? { ...job, quantize: { ...quantize, feedback: false } }
    : job;
}
