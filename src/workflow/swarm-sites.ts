// The sites of a swarm before a round: who is ready, and who becomes the aggregator.
import { FedStreamError } from '../core/errors.js';
import { shuffle } from '../core/random.js';
import { type Readiness, readinessSchema, SWARM, swarmTexts } from '../exchange/swarm.js';
import { quorumOf } from '../job/job.js';
import type { Federation } from './federation.js';

/** The order in which sites become aggregators: drawn anew for each round, or one after the other. */
export type SwarmOrder = 'random' | 'roundRobin';

/** What the coordinator knows from round to round. */
export interface SwarmMemory {
  /** The attempt that counted; empty before the first round. */
  readonly label: string;
  /** The digest of the model that the sites hold; empty before the first round. */
  readonly held: string;
  /** Sites that are no aggregators any more. */
  readonly refused: readonly string[];
}

/** The attempt at a round. */
export interface Attempt {
  readonly round: number;
  readonly label: string;
  readonly memory: SwarmMemory;
  /** Aggregators of earlier attempts at the same round. */
  readonly failed: ReadonlySet<string>;
}

/** Asks all sites; resolves with those that are ready. Throws `quorum` where they are too few. */
export async function readySites(federation: Federation, { label, memory, round }: Attempt): Promise<Map<string, Readiness>> {
  const texts = { label, committed: memory.label };
  const outcomes = await federation.gather({ kind: SWARM.ready, returns: 'figures', texts }, { quorum: 0 });
  const ready = new Map<string, Readiness>();
  const lost: string[] = [];
  for (const outcome of outcomes) {
    const found = outcome.status === 'done' ? readinessOf(outcome.reply.figures.texts, outcome.site) : outcome.reason;
    if (typeof found !== 'string') ready.set(outcome.site, found);
    else {
      lost.push(`${outcome.site} ${found}`);
      tell(federation, `round ${round} begins without ${outcome.site}: ${found}`);
    }
  }
  const needed = quorumOf(federation.job);
  if (ready.size >= needed) return ready;
  throw new FedStreamError(
    'quorum',
    `${ready.size} of ${federation.sites.length} sites are ready, ${needed} are needed: ${lost.join('; ')}`,
  );
}

function readinessOf(texts: Readonly<Record<string, string>> | undefined, site: string): Readiness | string {
  try {
    return swarmTexts(texts, readinessSchema, `the answer of ${site}`);
  } catch (error) {
    return (error as Error).message;
  }
}

/** The aggregator of an attempt, and how it begins. */
export interface Chosen {
  readonly aggregator: string;
  readonly address: string;
  readonly certificate: string | undefined;
  /** True where it has the state of the last round, which it needs from the second round on. */
  readonly hasState: boolean;
}

/**
 * Chooses the first site in the order of the round that has what the round begins with: the state of
 * the last round or, where nobody has that any more, the model. Throws `quorum` where there is none.
 */
export function chooseAggregator(
  federation: Federation,
  ready: ReadonlyMap<string, Readiness>,
  { round, memory, failed }: Attempt,
  order: SwarmOrder,
): Chosen {
  const able = candidates(ready, memory).filter((site) => !failed.has(site));
  const begins = memory.label === '';
  const having = begins ? able : able.filter((site) => ready.get(site)?.state === 'yes');
  const pool = having.length > 0 ? having : able.filter((site) => ready.get(site)?.held === memory.held);
  const aggregator = inTurn(federation, candidates(ready, memory), round, order).find((site) => pool.includes(site));
  if (aggregator === undefined)
    throw new FedStreamError('quorum', `no site can be the aggregator of round ${round}: ${why(ready, failed)}`);
  const { address, certificate } = ready.get(aggregator) as Readiness & { address: string };
  return { aggregator, address, certificate, hasState: begins || having.length > 0 };
}

function why(ready: ReadonlyMap<string, Readiness>, failed: ReadonlySet<string>): string {
  if ([...ready.values()].every(({ address }) => address === undefined))
    return 'none offers an address; let at least one listen for the others (--swarm-listen)';
  return failed.size > 0 ? `${[...failed].join(', ')} failed, and no other holds the model` : 'none that offers an address holds the model';
}

/** The site that should have the state for the next round: its aggregator, if it is still there then. */
export function nextAggregator(
  federation: Federation,
  ready: ReadonlyMap<string, Readiness>,
  { round, memory, failed }: Attempt,
  order: SwarmOrder,
): string | undefined {
  return inTurn(federation, candidates(ready, memory), round + 1, order).find((site) => !failed.has(site));
}

/** Sites that offer an address, by name. */
function candidates(ready: ReadonlyMap<string, Readiness>, { refused }: SwarmMemory): string[] {
  return [...ready].flatMap(([site, { address }]) => (address === undefined || refused.includes(site) ? [] : [site])).sort();
}

function inTurn({ random }: Federation, sites: readonly string[], round: number, order: SwarmOrder): string[] {
  if (order === 'random') return shuffle([...sites], random('swarm', round));
  const first = sites.length === 0 ? 0 : (round - 1) % sites.length;
  return [...sites.slice(first), ...sites.slice(0, first)];
}

/** A warning in the log and among the events. */
export function tell({ log, emit }: Pick<Federation, 'log' | 'emit'>, message: string): void {
  log.warn({}, message);
  emit({ type: 'warning', message });
}
