// The sites that train in a round: all, or those that are drawn for it by the job's seed (client
// sampling, McMahan et al. 2017; in proportion to weights, Li et al. 2020, "On the convergence of
// FedAvg on non-IID data", scheme I).
import { type Random, shuffle } from '../core/random.js';
import { type Job, quorumOf, sampleQuorum } from '../job/job.js';
import type { Weights } from '../job/weights.js';

/** The sites that are asked to train in one round. */
export interface Sample {
  /** In the order of their names. */
  readonly sites: readonly string[];
  /** The number of their results that the round needs. */
  readonly quorum: number;
  /**
   * How often each site was drawn, where the job draws in proportion to its weights: then results
   * count as often, and not by those weights once more.
   */
  readonly draws?: ReadonlyMap<string, number>;
}

/**
 * Draws the sites of a round from `random`, which is the round's own; `sites` are those of the job
 * in the order of their names. The same for the same numbers.
 */
export function sampleOf(job: Job, sites: readonly string[], random: Random): Sample {
  const { sample, weights } = job;
  if (!sample) return { sites, quorum: quorumOf(job) };
  if (sample.by === 'equal' || weights.type !== 'sites') {
    const drawn = shuffle([...sites], random)
      .slice(0, sample.sites)
      .sort();
    return { sites: drawn, quorum: sampleQuorum(job, drawn.length) };
  }
  const draws = new Map<string, number>();
  for (let i = 0; i < sample.sites; i++) {
    const site = drawOne(sites, weights.sites, random);
    draws.set(site, (draws.get(site) ?? 0) + 1);
  }
  const drawn = [...draws.keys()].sort();
  return { sites: drawn, quorum: sampleQuorum(job, drawn.length), draws };
}

/** One site, in proportion to its number. */
function drawOne(sites: readonly string[], numbers: Readonly<Record<string, number>>, random: Random): string {
  const total = sites.reduce((sum, site) => sum + (numbers[site] as number), 0);
  let left = random.uniform() * total;
  for (const site of sites) {
    left -= numbers[site] as number;
    if (left < 0) return site;
  }
  return sites.at(-1) as string;
}

/** How results of a round are weighted: as the job says, or by how often their sites were drawn. */
export function weightsIn(job: Job, { draws }: Sample): Weights {
  return draws ? { type: 'sites', sites: Object.fromEntries(draws) } : job.weights;
}
