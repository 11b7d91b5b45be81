// One round of a swarm at its aggregator: training, the mean, the state to the next aggregator, the
// new model to all.
import { SWARM } from '../exchange/swarm.js';
import { MODEL_NAME } from '../tensor/extra-names.js';
import type { StateDict } from '../tensor/state-dict.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import type { Federation, Offer, Outcome, Workflow } from './federation.js';
import { tell } from './swarm-sites.js';

/** The round, and where its state goes. */
export interface SwarmRoundOptions {
  readonly round: number;
  /** The attempt, under which the state is kept. */
  readonly label: string;
  /** The site that gets the state; undefined where the aggregator keeps it alone. */
  readonly next: string | undefined;
}

/**
 * `fedAvg` for one round: the sites train the model that they hold, and the job's aggregator makes the
 * next one. The server's own model and what its aggregator keeps go to the next site uncoded, so that
 * it goes on with the same bits. Last, the new model is sent to all sites, which evaluate and hold it.
 * A run that has this round already ends at once.
 */
export function swarmRound(aggregating: Aggregating, options: SwarmRoundOptions): Workflow {
  return async (federation) => {
    const { history, models } = federation;
    const { round, next } = options;
    if (history.length === 0) await federation.commit();
    if (federation.round <= round) {
      federation.emit({ type: 'round-started', round });
      const offer = await federation.offer();
      const previous = await models.open(MODEL_NAME);
      const outcomes = await federation.gather({ kind: 'train', offer, evaluate: round === 1 });
      const model = await aggregated(aggregating, outcomes, previous, federation);
      const written = await models.write(MODEL_NAME, model);
      for (const one of [model, previous, written]) await one.close?.();
      if (next !== undefined) await handOver(federation, next, options);
      await share(federation, round);
      await federation.commit();
    }
    return `round ${round} is done`;
  };
}

/** Sends the state to a site. Without it the next round begins where this one ended, so a failure is no end. */
async function handOver(federation: Federation, site: string, { label }: SwarmRoundOptions): Promise<void> {
  const { models } = federation;
  const extras: Record<string, StateDict> = {};
  for (const name of await models.names()) if (name !== MODEL_NAME) extras[name] = await models.open(name);
  const offer: Offer = await federation.offer({ exactly: 'sent' });
  const some = Object.keys(extras).length > 0;
  const ask = { kind: SWARM.keep, returns: 'figures', offer, texts: { label }, ...(some && { extras }) } as const;
  const [outcome] = (await federation.gather(ask, { sites: [site], quorum: 0 })) as [Outcome];
  for (const one of Object.values(extras)) await one.close?.();
  if (outcome.status !== 'done') tell(federation, `${site} did not take the state over: ${outcome.reason}`);
}

/** Sends the new model to all sites. Those that do not answer are behind, and get it in the next round. */
async function share(federation: Federation, round: number): Promise<void> {
  await federation.gather({ kind: 'evaluate', offer: await federation.offer(), evaluate: true, round });
}
