// Hands the results of a round to the job's aggregator.
import type { StateDict } from '../../tensor/state-dict.js';
import type { Federation, Outcome } from '../federation.js';
import { type Weight, weightsOf } from '../weights.js';
import type { Aggregator, Contribution } from './aggregator.js';
import type { IntegerRule } from './integers.js';

/** How a job combines results: its aggregator, and its rule for tensors that cannot be averaged. */
export interface Aggregating {
  readonly aggregator: Aggregator;
  readonly integers: IntegerRule;
}

/** Prefix, in the model store, of the names of state dicts that aggregators keep. */
const KEPT = 'aggregator.';

/** Sites whose claims were cut already in a run, each told of once. */
const told = new WeakMap<Aggregating, Set<string>>();

/**
 * Makes the next model from the results of a round, each weighted as the job says; lazy. The state that the aggregator keeps is
 * written to disk before the model and committed together with it.
 */
export async function aggregated(
  aggregating: Aggregating,
  outcomes: readonly Outcome[],
  previous: StateDict,
  federation: Pick<Federation, 'job' | 'models' | 'codecs' | 'log' | 'round' | 'emit'>,
): Promise<StateDict> {
  const { aggregator, integers } = aggregating;
  const { job, models, codecs, log, round } = federation;
  const claims = contributionsOf(outcomes);
  const weights = weightsOf(claims, job.weights);
  for (const weight of weights) if (weight.claimed !== undefined) tell(weight, aggregating, federation);
  const results = claims.map((result, index) => ({ ...result, samples: (weights[index] as Weight).weight }));
  const norms = outcomes.flatMap((outcome) => (outcome.status === 'done' ? (outcome.reply.norm ?? []) : [])).sort((a, b) => a - b);
  log.info({ round, sites: results.length, medianNorm: norms[Math.floor((norms.length - 1) / 2)], largestNorm: norms.at(-1) }, 'reducing');
  const state: Record<string, StateDict> = {};
  for (const name of await models.names()) if (name.startsWith(KEPT)) state[name.slice(KEPT.length)] = await models.open(name);
  const open = Object.values(state);
  const keep = async (name: string, kept: StateDict): Promise<StateDict> => {
    const written = await models.write(KEPT + name, kept);
    open.push(written);
    return written;
  };
  const model = await aggregator({ results, previous, state, codecs, integers, keep });
  const close = async (): Promise<void> => {
    for (const one of open) await one.close?.();
  };
  return { manifest: model.manifest, chunks: (range) => model.chunks(range), close };
}

function tell({ site, weight, claimed }: Weight, run: Aggregating, { log, emit, round }: Pick<Federation, 'log' | 'emit' | 'round'>): void {
  const sites = told.get(run) ?? new Set();
  told.set(run, sites);
  if (sites.has(site)) return;
  sites.add(site);
  const message = `${site} claims ${claimed} samples and counts for ${Math.round(weight)}, so that it does not outweigh the other sites; if it has so many, give the job "weights" (docs/workflows.md)`;
  log.warn({ round, site }, message);
  emit({ type: 'warning', message });
}

/**
 * The results among the outcomes that came with a model. `samples` is what each site claims;
 * `aggregated` weights them.
 */
export function contributionsOf(outcomes: readonly Outcome[]): Contribution[] {
  return outcomes.flatMap((outcome) => {
    if (outcome.status !== 'done' || !outcome.reply.model) return [];
    const { site, figures, model, isUpdate = false, base, extras } = outcome.reply;
    return [{ site, samples: figures.samples, model, isUpdate, base, extras }];
  });
}
