// Swarm learning (Warnat-Herresthal et al. 2021): in each round one of the sites is the aggregator.
// The server only coordinates; no part of a model ever reaches it.
import { z } from 'zod';
import type { CodecTable } from '../codec/codec.js';
import { FedStreamError } from '../core/errors.js';
import { row } from '../core/row.js';
import { SWARM } from '../exchange/swarm.js';
import { broadcastsUpdates } from '../filter/chain.js';
import { isLossy } from '../filter/policy.js';
import { type Job, quorumOf, roundLimits } from '../job/job.js';
import { evaluatedOf, shouldStop } from '../record/selection.js';
import type { Metrics } from '../trainer/trainer.js';
import type { Federation, Outcome, Workflow } from './federation.js';
import { siteMean } from './site-mean.js';
import { readMemory, writeMemory } from './swarm-memory.js';
import { atStart, judged } from './swarm-outcomes.js';
import { type Attempt, chooseAggregator, nextAggregator, readySites, type SwarmMemory, type SwarmOrder, tell } from './swarm-sites.js';

/** Options of `swarm`. */
export interface SwarmOptions {
  /** The order in which sites become aggregators, by the job's seed or by name. */
  readonly order: SwarmOrder;
}

/**
 * The coordinator's side. Each round: all sites get ready, one is chosen, and the others meet at it
 * for a round of `fedAvg` with the job's aggregator, coding, weights and bounds. In the end each site
 * tells the digest of the model that it holds, and they must agree. An aggregator that fails or falls
 * silent is replaced, and the round begins again from the model of the last one.
 */
export function swarm({ order }: SwarmOptions): () => Workflow {
  return () => Object.assign((federation: Federation) => inSwarm(federation, order), { modelAtSites: true, checkJob: checkSwarmJob });
}

async function inSwarm(federation: Federation, order: SwarmOrder): Promise<string> {
  const { job, codecs, history, models, signal } = federation;
  checkSwarmJob(job, codecs);
  if (history.length === 0) await federation.commit({ withoutModel: true });
  let memory = await readMemory(models);
  let reason = 'all rounds are done';
  while ((history.at(-1)?.round ?? 0) < job.rounds) {
    signal.throwIfAborted();
    if (shouldStop(evaluatedOf(history), job)) {
      reason = `no better ${job.selection} for ${job.earlyStop?.patience} rounds`;
      break;
    }
    const { round } = federation;
    federation.emit({ type: 'round-started', round });
    const done = await oneRound(federation, memory, order);
    memory = done.memory;
    await writeMemory(models, memory);
    if (round === 1) await federation.note(0, done.start);
    await federation.commit({ evaluation: done.evaluation, withoutModel: true });
  }
  await finish(federation, memory);
  return `${reason}; the model is at the sites`;
}

interface Done {
  readonly memory: SwarmMemory;
  /** Figures of the round's model, and in round 1 of the model before it. */
  readonly evaluation: Metrics | undefined;
  readonly start: Metrics | undefined;
}

/** Tries one aggregator after the other, until a quorum of the sites holds the same new model. */
async function oneRound(federation: Federation, before: SwarmMemory, order: SwarmOrder): Promise<Done> {
  const { round, job } = federation;
  let memory = before;
  const failed = new Set<string>();
  for (let number = 1; ; number++) {
    const attempt: Attempt = { round, label: `r${round}.${number}`, memory, failed };
    const ready = await readySites(federation, attempt);
    const { aggregator, address, certificate, hasState } = chooseAggregator(federation, ready, attempt, order);
    if (!hasState)
      tell(
        federation,
        `round ${round} goes on from the model that the sites hold: nobody is there any more that has what coding owes them, nor the state of the aggregator ${job.aggregator.type}`,
      );
    const { label } = attempt;
    const from = memory.label === '' ? 'start' : hasState ? memory.label : 'held';
    if (!(await prepares(federation, aggregator, { label, from, held: memory.held }))) {
      failed.add(aggregator);
      continue;
    }
    const next = round < job.rounds ? nextAggregator(federation, ready, attempt, order) : undefined;
    const sites = [...ready.keys()].sort();
    const serve = {
      label,
      job: JSON.stringify(jobForAggregator(job, sites)),
      verifiers: JSON.stringify(Object.fromEntries([...ready].map(([site, { verifier }]) => [site, verifier]))),
      next: next === undefined || next === aggregator ? '' : next,
    };
    const join = { label, aggregator, address, ...(certificate !== undefined && { certificate }) };
    const { deadlineMs } = roundLimits(job);
    // The aggregator gives sites up by the job's limits; here is waited for it, and twice as long.
    const waits = { sites, quorum: 0, deadlineMs: 2 * deadlineMs, aliveMs: 2 * deadlineMs };
    const outcomes = await federation.gather(
      (site) =>
        site === aggregator
          ? { kind: SWARM.serve, returns: 'figures', texts: serve }
          : { kind: SWARM.join, returns: 'figures', texts: join },
      waits,
    );
    const { held, agreed, refused } = judged(federation, outcomes, aggregator, quorumOf(job));
    memory = { ...memory, refused: [...new Set([...memory.refused, ...refused])].sort() };
    if (held !== undefined)
      return {
        memory: { ...memory, label, held },
        evaluation: siteMean(agreed, job.weights),
        start: siteMean(atStart(agreed), job.weights),
      };
    failed.add(aggregator);
    tell(federation, `round ${round} begins again: ${aggregator}, its aggregator, did not bring a quorum of the sites to one model`);
  }
}

/** Asks the aggregator to have the state at hand; false, after a warning, where it cannot. */
async function prepares(federation: Federation, site: string, texts: Readonly<Record<string, string>>): Promise<boolean> {
  const ask = { kind: SWARM.prepare, returns: 'figures', texts } as const;
  const [outcome] = (await federation.gather(ask, { sites: [site], quorum: 0 })) as [Outcome];
  if (outcome.status === 'done') return true;
  tell(federation, `${site} cannot be the aggregator of round ${federation.round}: ${outcome.reason}`);
  return false;
}

/** The job as an aggregator gets it: without data and paths of this machine, and with the sites that are there. */
function jobForAggregator(job: Job, sites: readonly string[]): object {
  const { data: _, algorithm: __, model, weights, ...more } = job;
  const present = Object.entries(weights.type === 'sites' ? weights.sites : {}).filter(([site]) => sites.includes(site));
  return {
    ...more,
    sites,
    quorum: quorumOf(job),
    workflow: 'fedAvg',
    model: model !== 'offered' && 'path' in model ? { path: 'model' } : model,
    weights: weights.type === 'sites' ? { type: 'sites', sites: Object.fromEntries(present) } : weights,
  };
}

/** Lets every site put down the model that it holds, and says which sites do not hold the last one. */
async function finish(federation: Federation, { held }: SwarmMemory): Promise<void> {
  if (held === '') return;
  const texts = { held };
  const { round = 0 } = federation.history.at(-1) ?? {};
  const outcomes = await federation.gather({ kind: SWARM.finish, returns: 'figures', texts, round }, { quorum: 0 });
  for (const outcome of outcomes) {
    const found = outcome.status === 'done' ? outcome.reply.figures.texts?.held : undefined;
    if (found === held) continue;
    const why = outcome.status === 'done' ? 'it holds another one' : outcome.reason;
    tell(federation, `${outcome.site} does not have the last model: ${why}`);
  }
}

/** Throws `bad-job`, naming the field, for a job whose models cannot be held by digest at all sites. */
function checkSwarmJob(job: Job, codecs: CodecTable): void {
  const { filters = {}, quantize } = job;
  const refuse = (what: string): never => {
    throw new FedStreamError('bad-job', `${what} does not go with the workflow swarm (docs/workflows.md)`);
  };
  for (const point of ['task-out', 'task-in'] as const)
    if ((filters[point] ?? []).length > 0) refuse(`filters.${point}: a model that is filtered on its way, and so is no site's to pass on,`);
  if (job.sample) refuse('sample: every site of a swarm takes part in each round, so drawing some');
  if (job.crossSiteEvaluation) refuse('crossSiteEvaluation: the models of single sites are not passed on, so trying them on other sites');
  if (isLossy(quantize.down, codecs) && !broadcastsUpdates(job, codecs))
    refuse('quantize: whole weights that lose values on their way ("paper", or "delta": false)');
}

/** The row `swarm`, with the option `order`. */
export const swarmRow = row('swarm', z.strictObject({ order: z.enum(['random', 'roundRobin']).default('random') }), swarm);
