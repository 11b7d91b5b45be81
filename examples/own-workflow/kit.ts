// A workflow from outside of the package: every round asks a part of the sites alone, drawn anew by the job's seed.
// fedstream server --job job.json --kit kit.ts      with "workflow": {"type": "sampled", "fraction": 0.5} in job.json
import { type Aggregating, aggregated, inRounds, row, type Workflow } from 'fedstream';
import { z } from 'zod';

const sampled = ({ fraction }: { fraction: number }) => {
  return (aggregating: Aggregating): Workflow =>
    (federation) =>
      inRounds(federation, async ({ round, offer, previous, evaluate }) => {
        const count = Math.max(1, Math.round(fraction * federation.sites.length));
        const draw = federation.random('sampled', round);
        const drawn = federation.sites
          .map((site) => ({ site, at: draw.uniform() }))
          .sort((a, b) => a.at - b.at)
          .slice(0, count);
        const sites = drawn.map(({ site }) => site);
        federation.log.info({ round, sites }, 'drew the sites of the round');
        const outcomes = await federation.gather({ kind: 'train', offer, evaluate }, { sites, quorum: count });
        return { outcomes, model: await aggregated(aggregating, outcomes, previous, federation) };
      });
};

export const kit = {
  workflows: [row('sampled', z.strictObject({ fraction: z.number().positive().max(1).default(0.5) }), sampled)],
};
