// Hands the results of a round to the job's aggregator.
import type { StateDict } from '../../tensor/state-dict.js';
import type { Federation, Outcome } from '../federation.js';
import type { Aggregator, Contribution } from './aggregator.js';
import type { IntegerRule } from './integers.js';

/** How a job combines results: its aggregator, and its rule for tensors that cannot be averaged. */
export interface Aggregating {
  readonly aggregator: Aggregator;
  readonly integers: IntegerRule;
}

/** Prefix, in the model store, of the names of state dicts that aggregators keep. */
const KEPT = 'aggregator.';

/**
 * Makes the next model from the results of a round; lazy. The state that the aggregator keeps is
 * written to disk before the model and committed together with it.
 */
export async function aggregated(
  { aggregator, integers }: Aggregating,
  outcomes: readonly Outcome[],
  previous: StateDict,
  { models, codecs, log, round }: Pick<Federation, 'models' | 'codecs' | 'log' | 'round'>,
): Promise<StateDict> {
  const results = contributionsOf(outcomes);
  log.info({ round, sites: results.length }, 'reducing');
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

/** The results among the outcomes that came with a model. */
export function contributionsOf(outcomes: readonly Outcome[]): Contribution[] {
  return outcomes.flatMap((outcome) => {
    if (outcome.status !== 'done' || !outcome.reply.model) return [];
    const { site, figures, model, isUpdate = false, base, extras } = outcome.reply;
    return [{ site, samples: figures.samples, model, isUpdate, base, extras }];
  });
}
