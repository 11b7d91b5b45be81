// Federated statistics: nothing is trained; each site tells counts of its text data, in bins of a
// least number of samples.
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { row } from '../core/row.js';
import type { Workflow } from './federation.js';
import { takeInitialModel } from './initial-model.js';
import { pooled } from './pooled-statistics.js';

/** Options of `statistics`. */
export interface StatisticsOptions {
  /** The least number of samples of a bin; a site's owner may ask for more. */
  readonly leastCount: number;
  /** The most tokens of the vocabulary that are counted; 0 for none. */
  readonly tokens: number;
  /** Counts samples by category. */
  readonly categories: boolean;
}

/** Asks every site for the statistics of its data; the run has those of each and of all together. */
export function statistics({ leastCount, tokens, categories }: StatisticsOptions): Workflow {
  return async (federation) => {
    const { history, emit, log } = federation;
    await takeInitialModel(federation);
    if (history.length === 0) await federation.commit();
    const figures = { leastCount, tokens, categories: categories ? 1 : 0 };
    const outcomes = await federation.gather({ kind: 'statistics', figures, round: 0 }, { quorum: 0 });
    const found = outcomes.map((outcome) => {
      const { site } = outcome;
      if (outcome.status !== 'done') return { site, reason: outcome.reason };
      const { statistics: told } = outcome.reply.figures;
      return told && told.samples > 0
        ? { site, statistics: told }
        : { site, reason: `it has fewer than ${told?.leastCount ?? leastCount} samples` };
    });
    for (const one of found) {
      emit({ type: 'statistics', ...one });
      if ('reason' in one) log.warn({ site: one.site }, `no statistics of ${one.site}: ${one.reason}`);
    }
    const all = pooled(found.flatMap((one) => ('statistics' in one ? (one.statistics ?? []) : [])));
    if (all) emit({ type: 'statistics', statistics: all });
    const told = found.filter((one) => 'statistics' in one).length;
    return `${told} of ${found.length} sites have told the statistics of their data`;
  };
}

/** The row `statistics`, with the options `leastCount`, `tokens` and `categories`. */
export const statisticsRow = row(
  'statistics',
  z.strictObject({
    leastCount: z.int().min(1).max(1_000_000_000).default(10),
    tokens: z.int().min(0).max(BUDGETS.statisticsBins.limit).default(0),
    categories: z.boolean().default(true),
  }),
  (options: StatisticsOptions) => () => statistics(options),
);
