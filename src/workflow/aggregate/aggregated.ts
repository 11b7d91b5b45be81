// Hands the results of a round to the job's aggregator.

import { FedStreamError } from '../../core/errors.js';
import { lowerMedian } from '../../core/lower-median.js';
import type { Chunk, StateDict } from '../../tensor/state-dict.js';
import type { DictWriter, ModelStore, Outcome } from '../federation.js';
import { normalized } from '../normalized.js';
import { weightsIn } from '../sample.js';
import { type Weight, weightsOf } from '../weights.js';
import type { Adjust, Combining } from './adjust.js';
import type { Aggregator, Contribution, NextModel, Together } from './aggregator.js';
import type { IntegerRule } from './integers.js';

/** How a job combines results: its aggregator, and its rule for tensors that cannot be averaged. */
export interface Aggregating {
  readonly aggregator: Aggregator;
  readonly integers: IntegerRule;
}

/** Prefix, in the model store, of the names of state dicts that aggregators keep. */
export const KEPT = 'aggregator.';

/** Sites whose claims were cut already in a run, each told of once. */
const told = new WeakMap<Aggregating, Set<string>>();

/**
 * Makes the next model from the results of a round, each weighted as the job says; lazy. `adjust`
 * changes them first; by default it weights them by their steps where a clock ends the rounds of
 * sites (`train.localSeconds`). The state that the aggregator keeps is written before the model or
 * while it is read for the first time, and committed together with it. Closing the model throws
 * `internal` where it was not read whole.
 */
export async function aggregated(
  aggregating: Aggregating,
  outcomes: readonly Outcome[],
  previous: StateDict,
  federation: Combining,
  adjust: Adjust | undefined = federation.job.train.localSeconds === undefined ? undefined : normalized(),
): Promise<StateDict> {
  const { aggregator, integers } = aggregating;
  const { job, models, codecs, log, round } = federation;
  const claims = contributionsOf(outcomes);
  const weights = weightsOf(claims, weightsIn(job, federation.sample()));
  for (const weight of weights) if (weight.claimed !== undefined) tell(weight, aggregating, federation);
  const weighted = claims.map((result, index) => ({ ...result, samples: (weights[index] as Weight).weight }));
  const results = adjust?.(weighted, previous, federation) ?? weighted;
  const norms = outcomes.flatMap((outcome) => (outcome.status === 'done' ? (outcome.reply.norm ?? []) : [])).sort((a, b) => a - b);
  log.info({ round, sites: results.length, medianNorm: lowerMedian(norms), largestNorm: norms.at(-1) }, 'reducing');
  const state: Record<string, StateDict> = {};
  for (const name of await models.names()) if (name.startsWith(KEPT)) state[name.slice(KEPT.length)] = await models.open(name);
  const open = Object.values(state);
  const keep = async (name: string, kept: StateDict): Promise<StateDict> => {
    const written = await models.write(KEPT + name, kept);
    open.push(written);
    return written;
  };
  const model = await aggregator({ results, previous, state, codecs, integers, round, rounds: job.rounds, keep });
  const { chunks, isWritten } = writingBeside(model, models);
  const close = async (): Promise<void> => {
    for (const one of open) await one.close?.();
    if (!isWritten())
      throw new FedStreamError('internal', 'the next model was not read whole, so what the aggregator keeps was not written');
  };
  return { manifest: model.manifest, chunks, close };
}

/**
 * The chunks of a model. The first reading of it all writes what is kept beside it; others only
 * read the model.
 */
function writingBeside(model: NextModel, models: ModelStore): { chunks: StateDict['chunks']; isWritten(): boolean } {
  const { together } = model;
  let written = together === undefined;
  async function* both({ manifests, chunks }: Together): AsyncGenerator<Chunk> {
    const writers = new Map<string, DictWriter>();
    try {
      for (const [name, manifest] of Object.entries(manifests)) writers.set(name, await models.begin(KEPT + name, manifest));
      for await (const made of chunks()) {
        if ('chunk' in made) yield made.chunk;
        else await (writers.get(made.name) as DictWriter).write(made.bytes);
      }
      // Each waits for the disk; together they wait once.
      await Promise.all([...writers.values()].map((writer) => writer.finish()));
      written = true;
    } finally {
      if (!written) for (const writer of writers.values()) await writer.abandon();
    }
  }
  return { chunks: (range) => (range || written || !together ? model.chunks(range) : both(together)), isWritten: () => written };
}

function tell({ site, weight, claimed }: Weight, run: Aggregating, { log, emit, round }: Combining): void {
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
    const { site, figures, model, isUpdate = false, base, norm, extras } = outcome.reply;
    return [{ site, samples: figures.samples, model, isUpdate, base, figures, norm, extras }];
  });
}
