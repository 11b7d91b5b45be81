// The end of a round of a swarm: the model that a quorum of the sites holds, and those that say
// something else.
import { holdingSchema, swarmTexts } from '../exchange/swarm.js';
import type { Metrics } from '../trainer/trainer.js';
import type { Federation, Outcome } from './federation.js';
import { tell } from './swarm-sites.js';

/** Begins the names of figures that are no metrics of a trainer. */
export const SWARM_FIGURE = 'swarm.';

/** What came of an attempt. */
export interface Judged {
  /** The digest that a quorum of the sites tells; undefined where there is none. */
  readonly held: string | undefined;
  /** The answers of those sites. */
  readonly agreed: readonly Outcome[];
  /** The aggregator, where it holds another model than the quorum, or has led to none. */
  readonly refused: readonly string[];
}

/** Judges the answers of an attempt; each site without a part in it is named in a warning. */
export function judged(federation: Federation, outcomes: readonly Outcome[], aggregator: string, quorum: number): Judged {
  const { round } = federation;
  const byDigest = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    const digest = heldBy(outcome);
    if (digest.held === undefined) tell(federation, `round ${round} goes on without ${outcome.site}: ${digest.reason}`);
    else byDigest.set(digest.held, [...(byDigest.get(digest.held) ?? []), outcome]);
  }
  // Outcomes are in the order of names, so a tie is decided by the first name.
  const [largest] = [...byDigest].sort(([, a], [, b]) => b.length - a.length);
  const refused: string[] = [];
  const enough = largest !== undefined && largest[1].length >= quorum;
  for (const [digest, sites] of byDigest) {
    if (digest === largest?.[0] && (enough || byDigest.size === 1)) continue;
    for (const { site } of sites) {
      const others = enough ? `the others have ${largest[0]}` : 'no quorum agrees on one';
      tell(federation, `${site} is refused in round ${round}: it holds the model with the digest ${digest}, and ${others}`);
      if (site === aggregator) refused.push(site);
    }
  }
  // Sites verify what they are sent, so different models at many of them come from the aggregator.
  if (!enough && byDigest.size > 1 && !refused.includes(aggregator)) refused.push(aggregator);
  if (!enough) return { held: undefined, agreed: [], refused };
  const [held, agreed] = largest;
  for (const outcome of agreed) record(federation, outcome, outcome.site === aggregator);
  return { held, agreed, refused };
}

function heldBy(outcome: Outcome): { readonly held?: string; readonly reason?: string } {
  if (outcome.status !== 'done') return { reason: outcome.reason };
  try {
    return swarmTexts(outcome.reply.figures.texts, holdingSchema, `the answer of ${outcome.site}`);
  } catch (error) {
    return { reason: (error as Error).message };
  }
}

/** Records a site's figures and, as the aggregator tells them, the bytes that went between the sites. */
function record({ round, emit }: Federation, outcome: Outcome, aggregates: boolean): void {
  if (outcome.status !== 'done') return;
  const { site, reply } = outcome;
  const { trainLoss, samples, steps, counts, metrics = {} } = reply.figures;
  const own = Object.entries(metrics).filter(([name]) => !name.startsWith(SWARM_FIGURE));
  if (steps > 0) emit({ type: 'site-result', site, round, trainLoss, samples, steps, counts, metrics: Object.fromEntries(own) });
  if (!aggregates) return;
  for (const direction of ['down', 'up'] as const) {
    const bytes = whole(metrics[`${SWARM_FIGURE}${direction}`]);
    const fp32Bytes = whole(metrics[`${SWARM_FIGURE}${direction}Fp32`]);
    if (bytes > 0) emit({ type: 'transfer', site, round, direction, bytes, fp32Bytes, seconds: 0, retries: 0 });
  }
}

/** A count of bytes from a site: no more than a number that a sum over all rounds holds exactly. */
function whole(value = 0): number {
  return Number.isFinite(value) ? Math.min(Math.max(0, Math.floor(value)), 2 ** 50) : 0;
}

/** The answers with the figures of the model that the run began with in the place of the evaluation. */
export function atStart(outcomes: readonly Outcome[]): Outcome[] {
  return outcomes.flatMap((outcome) => {
    if (outcome.status !== 'done') return [];
    const { figures } = outcome.reply;
    const evaluation = startOf(figures.metrics ?? {});
    return [{ ...outcome, reply: { ...outcome.reply, figures: { ...figures, evaluation } } }];
  });
}

function startOf(metrics: Readonly<Record<string, number>>): Metrics | undefined {
  const [loss, samples, exactMatch] = ['startLoss', 'startSamples', 'startExactMatch'].map((name) => metrics[`${SWARM_FIGURE}${name}`]);
  if (loss === undefined || samples === undefined || !(loss >= 0) || !(samples >= 1)) return undefined;
  const known = exactMatch !== undefined && exactMatch >= 0 && exactMatch <= 1;
  return { loss, samples: Math.floor(samples), ...(known && { exactMatch }) };
}
