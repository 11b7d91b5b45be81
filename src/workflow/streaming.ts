// Streaming DiLoCo (Douillard et al. 2025, arXiv 2501.18512): parts of the model are exchanged at
// different steps of a round, while the sites train on.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { row } from '../core/row.js';
import { MAX_PARTS } from '../exchange/task.js';
import type { Coding } from '../filter/coding.js';
import type { Job } from '../job/job.js';
import { joinedParts, type PartNames, partOf, partsOf } from '../tensor/model-parts.js';
import { arrangeTensors } from '../tensor/select-tensors.js';
import type { StateDict } from '../tensor/state-dict.js';
import { checkPlan } from '../trainer/part-plan.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import { chooseStart } from './choose-start.js';
import type { AskedParts, Federation, Offer, Outcome, Workflow } from './federation.js';
import { evaluateHere, everyRound, tellOfStart } from './in-rounds.js';
import { siteMean } from './site-mean.js';

/** Options of `streaming`. */
export interface StreamingOptions {
  /** The number of parts of the model, and of segments in a round. */
  readonly parts: number;
  /** Steps that sites train on between sending a part and merging it; at most those of a segment. */
  readonly overlap: number;
  /** The share of a site's own values in a merge. */
  readonly alpha: number;
}

/**
 * A round of H local steps has as many segments as the model has parts. At the end of segment k
 * every site sends what has changed of part k; the aggregator makes the next global part of it,
 * with a state of its own for each part; and the sites merge that `overlap` steps after they have
 * sent: `part = alpha × own + (1 − alpha) × global`. A site that fails is left out until the round
 * is over. Needs trainers that train in parts, and messages by way of the disk.
 */
export function streaming(options: StreamingOptions): (aggregating: Aggregating) => Workflow {
  return (aggregating) => {
    const run: Workflow = async (federation) => {
      checkStreamingJob(federation.job, options);
      if (federation.job.earlyStop && !federation.evaluate)
        throw new FedStreamError(
          'bad-job',
          'the workflow streaming has figures of a round only where the server evaluates; leave earlyStop out, or give the server data to evaluate on',
        );
      return everyRound(federation, {
        round: () => oneRound(federation, aggregating, options),
        evaluateLast: () => evaluateLast(federation, options),
      });
    };
    return Object.assign(run, { checkJob: (job: Job) => checkStreamingJob(job, options) });
  };
}

/** Throws `bad-job` for what does not go with parts that travel while the sites train on. */
function checkStreamingJob(job: Job, { parts, overlap, alpha }: StreamingOptions): void {
  if (job.streaming === 'regular')
    throw new FedStreamError(
      'bad-job',
      'the workflow streaming needs the disk to survive a crash; set "streaming" to "file" or "container"',
    );
  if (job.crossSiteEvaluation)
    throw new FedStreamError('bad-job', 'the workflow streaming leaves no model of a single site; leave crossSiteEvaluation out');
  if (job.sample) throw new FedStreamError('bad-job', 'the workflow streaming trains with all sites from round to round; leave sample out');
  const { localSteps, localSeconds } = job.train;
  if (localSeconds !== undefined)
    throw new FedStreamError('bad-job', 'the workflow streaming has rounds of known lengths; leave train.localSeconds out');
  if (localSteps !== undefined) checkPlan(localSteps, { of: parts, overlap, alpha });
}

async function oneRound(federation: Federation, aggregating: Aggregating, options: StreamingOptions): Promise<void> {
  const { round, models, job } = federation;
  federation.emit({ type: 'round-started', round });
  const previous = await models.open('model');
  const parts = new RoundParts(federation, previous, options);
  await parts.begin(round === 1 ? await chooseStart(federation) : undefined);
  const evaluates = federation.evaluate === undefined && round === 1;
  let sites = federation.sites;
  let first: readonly Outcome[] = [];
  for (let part = 1; part <= options.parts; part++) {
    const offer = parts.offerOf(part);
    const ask = { kind: 'trainPart', offer, evaluate: evaluates && part === 1, needs: ['parts'], parts: parts.asked(part) };
    const outcomes = await federation.gather(ask, { sites });
    sites = outcomes.filter(({ status }) => status === 'done').map(({ site }) => site);
    if (part === 1) first = outcomes;
    await parts.reduce(part, outcomes, aggregating);
  }
  const model = await models.write('model', parts.model());
  await model.close?.();
  if (evaluates) {
    const evaluation = siteMean(first, job.weights);
    if (parts.began) await federation.note(0, evaluation);
    else tellOfStart(evaluation, federation);
  }
  await federation.commit({ evaluation: await evaluateHere(federation) });
  await previous.close?.();
  await parts.close();
}

/** Asks the sites for figures of the last model, where the server has no data of its own. */
async function evaluateLast(federation: Federation, options: StreamingOptions): Promise<void> {
  const { round, evaluation } = federation.history.at(-1) ?? { round: 0, evaluation: undefined };
  if (federation.evaluate || evaluation || round === 0) return;
  const model = await federation.models.open('model');
  const parts = new RoundParts(federation, model, options);
  await parts.begin(undefined);
  const outcomes = await federation.gather({ kind: 'evaluate', evaluate: true, round, parts: parts.asked(1) });
  await federation.note(round, siteMean(outcomes, federation.job.weights));
  await model.close?.();
}

/** The parts of the global model in one round: those of the last model, and those that are made anew. */
class RoundParts {
  readonly #federation: Federation;
  readonly #previous: StateDict;
  readonly #options: StreamingOptions;
  readonly #names: readonly PartNames[];
  /** The offer of each part, and the round in which it became so. */
  readonly #offers: { round: number; offer: Offer }[] = [];
  readonly #made: StateDict[] = [];

  constructor(federation: Federation, previous: StateDict, options: StreamingOptions) {
    this.#federation = federation;
    this.#previous = previous;
    this.#options = options;
    this.#names = partsOf(previous.manifest, options.parts);
  }

  /** True where the sites begin with the server's model to the bit. */
  get began(): boolean {
    return this.#offers.every(({ offer }) => offer.exact);
  }

  /** Offers every part of the last model. */
  async begin(first: Coding['first']): Promise<void> {
    const { round, models } = this.#federation;
    for (const names of this.#names) {
      const part = this.#offers.length + 1;
      const open = async (): Promise<StateDict> => partOf(await models.open('model'), names);
      const offer = await this.#federation.offer({ first, part: { name: nameOf(part), version: round, open } });
      this.#offers.push({ round: round - 1, offer });
    }
  }

  offerOf(part: number): Offer {
    return (this.#offers[part - 1] as { offer: Offer }).offer;
  }

  asked(part: number): AskedParts {
    const { overlap, alpha } = this.#options;
    return { part, overlap, alpha, offers: [...this.#offers], manifest: this.#previous.manifest };
  }

  /** Makes the next values of a part, and offers them; the last part's offer is made once the round is committed. */
  async reduce(part: number, outcomes: readonly Outcome[], aggregating: Aggregating): Promise<void> {
    const { models, round } = this.#federation;
    const before = partOf({ ...this.#previous, close: async () => {} }, this.#names[part - 1] as PartNames);
    const next = await aggregated(aggregating, outcomes, before, statePerPart(this.#federation, nameOf(part)));
    this.#made.push(await models.write(nameOf(part), next));
    await next.close?.();
    if (part === this.#options.parts) return;
    const open = (): Promise<StateDict> => models.open(nameOf(part));
    const offer = await this.#federation.offer({ part: { name: nameOf(part), version: round + 1, open } });
    this.#offers[part - 1] = { round, offer };
  }

  /** The next global model, once all of its parts are made; in the order of the last one. */
  model(): StateDict {
    return arrangeTensors(joinedParts(this.#made), this.#previous.manifest);
  }

  async close(): Promise<void> {
    for (const made of this.#made) await made.close?.();
  }
}

function nameOf(part: number): string {
  return `part-${part}`;
}

/** The federation with a model store in which an aggregator keeps its state of one part. */
function statePerPart(federation: Federation, part: string): Federation {
  const { models } = federation;
  const prefix = `${part}.`;
  const own: Federation['models'] = {
    open: (name) => models.open(prefix + name),
    openRound: (round) => models.openRound(round),
    names: async () => (await models.names()).flatMap((name) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : [])),
    write: (name, state) => models.write(prefix + name, state),
    begin: (name, manifest) => models.begin(prefix + name, manifest),
    writeTexts: (files) => models.writeTexts(files),
  };
  return Object.create(federation, { models: { value: own } });
}

/** The row `streaming`, with the options `parts`, `overlap` and `alpha`. */
export const streamingRow = row(
  'streaming',
  z.strictObject({
    parts: z.int().min(1).max(MAX_PARTS).default(4),
    overlap: z.int().min(0).default(5),
    alpha: z.number().min(0).lt(1).default(0.5),
  }),
  streaming,
);
