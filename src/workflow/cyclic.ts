// Cyclic weight transfer (Chang et al. 2018): the model travels from site to site, and each site
// trains the result of the one before.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { shuffle } from '../core/random.js';
import { row } from '../core/row.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import type { Federation, Outcome, Workflow } from './federation.js';
import { inRounds } from './in-rounds.js';

/** Options of `cyclic`. */
export interface CyclicOptions {
  /** The order of the sites: by name, or shuffled anew for every cycle with the job's seed. */
  readonly order: 'fixed' | 'random';
}

/**
 * One site trains in each round. If a site fails or falls silent, the next one of the cycle takes
 * its turn.
 */
export function cyclic({ order }: CyclicOptions): (aggregating: Aggregating) => Workflow {
  return (aggregating) => (federation) =>
    inRounds(federation, async ({ round, offer, previous, evaluate }) => {
      for (const site of turn(federation, round, order)) {
        const task = { kind: 'train', offer, evaluate } as const;
        const [outcome] = (await federation.gather(task, { sites: [site], quorum: 0 })) as [Outcome];
        if (outcome.status === 'done')
          return { outcomes: [outcome], model: await aggregated(aggregating, [outcome], previous, federation) };
        federation.emit({ type: 'warning', message: `round ${round} goes on without ${site}: ${outcome.reason}` });
      }
      throw new FedStreamError('quorum', `no site could train in round ${round}`);
    });
}

/** All sites once around the cycle, beginning with the one whose turn it is. */
function turn({ sites, random }: Federation, round: number, order: CyclicOptions['order']): string[] {
  const cycle = Math.floor((round - 1) / sites.length);
  const all = order === 'fixed' ? [...sites] : shuffle([...sites], random('cyclic', cycle));
  const first = (round - 1) % sites.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** The row `cyclic`, with the option `order`; an aggregator is given one result at a time. */
export const cyclicRow = row('cyclic', z.strictObject({ order: z.enum(['fixed', 'random']).default('fixed') }), (options) =>
  Object.assign(cyclic(options), { leastResults: () => 1 }),
);
