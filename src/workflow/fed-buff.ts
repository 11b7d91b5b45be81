// FedBuff (Nguyen et al. 2022, Federated Learning with Buffered Asynchronous Aggregation): the model
// is committed whenever a number of updates has arrived, and no site waits for a slower one.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { row } from '../core/row.js';
import { sumModel } from '../exchange/reduce.js';
import { codesWhole } from '../filter/chain.js';
import { type Job, quorumOf, siteNames } from '../job/job.js';
import { type Aggregating, aggregated } from './aggregate/aggregated.js';
import { BufferSites } from './buffer-sites.js';
import type { Arrival, Federation, Outcome, Reply, Workflow } from './federation.js';
import { inRounds, type RoundInput, type RoundResult } from './in-rounds.js';
import { siteMean } from './site-mean.js';

/** Options of `fedBuff`. */
export interface FedBuffOptions {
  /** Updates that make a new model (K); by default half of the sites, rounded up. */
  readonly buffer?: number | undefined;
  /** The most versions that an update may be behind; older ones are dropped. */
  readonly staleness: number;
}

/** An answer with an update that counts. */
type Taken = Arrival & { readonly status: 'done'; readonly reply: Reply };

/**
 * A round is a buffer: it ends when `buffer` updates have arrived, whichever sites sent them. The
 * mean of the updates, each times `1 / sqrt(1 + staleness)`, is added to the newest model. A site is
 * asked again at once, with the newest version; it trains a version once, so that one that is ready
 * before the next commit waits for it, and none fills a buffer alone.
 */
export function fedBuff({ buffer, staleness }: FedBuffOptions): (aggregating: Aggregating) => Workflow {
  return (aggregating) => async (federation) => {
    const size = sizeFor(federation, buffer);
    return inRounds(federation, (input) => oneBuffer(input, size, staleness, federation, aggregating));
  };
}

/** The size of the buffer. Throws `bad-job` where it could not be filled, or updates cannot be had. */
function sizeFor({ job }: Federation, buffer: number | undefined): number {
  const quorum = quorumOf(job);
  if (buffer !== undefined && buffer > quorum)
    throw new FedStreamError(
      'bad-job',
      `workflow.buffer: ${buffer} updates of different sites may never come where ${quorum} sites are enough (quorum); make it at most ${quorum}`,
    );
  if (job.sample)
    throw new FedStreamError('bad-job', 'sample: the workflow "fedBuff" asks every site as soon as it is ready; leave sample out');
  if (codesWhole(job))
    throw new FedStreamError(
      'bad-job',
      'workflow: fedBuff adds updates of older models to the newest, and the job sends whole weights, coded; send updates: "quantize": "u4"',
    );
  return leastIn(job, buffer);
}

/** Updates in a buffer. */
function leastIn(job: Job, buffer: number | undefined): number {
  return buffer ?? Math.min(quorumOf(job), Math.ceil(siteNames(job).length / 2));
}

async function oneBuffer(
  { round, offer, previous, evaluate }: RoundInput,
  size: number,
  staleness: number,
  federation: Federation,
  aggregating: Aggregating,
): Promise<RoundResult> {
  const { inFlight, history, sites, job } = federation;
  const warn = (message: string): void => {
    federation.log.warn({ round }, message);
    federation.emit({ type: 'warning', message });
  };
  await inFlight.expire(round - staleness, `its update is of a model more than ${staleness} versions old`);
  const asking = (site: string): Promise<void> => inFlight.ask(site, { kind: 'train', offer, evaluate });
  const open = (await inFlight.open()).map(({ site }) => site);
  const standing = new BufferSites({ sites, history, round, staleness, quorum: quorumOf(job) });
  for (const site of standing.toAsk(open)) await asking(site);
  const taken: Taken[] = [];
  while (taken.length < size) {
    for (const site of standing.called()) await asking(site);
    const lost = standing.quorumLost();
    if (lost) {
      await inFlight.forgetFailures();
      throw lost;
    }
    const arrival = await inFlight.next();
    const { site } = arrival;
    const behind = round - arrival.round;
    if (behind > staleness) warn(`the update of ${site} is dropped: it is ${behind} versions behind, and the limit is ${staleness}`);
    else if (arrival.status === 'done' && arrival.reply.model) {
      taken.push(arrival as Taken);
      federation.emit({ type: 'arrival', site, round, asked: arrival.round, weight: weightOf(behind) });
    } else {
      const reason = arrival.status === 'done' ? 'sent no update' : arrival.reason;
      standing.lose(site, reason);
      warn(`round ${round} goes on without ${site}: ${reason}`);
      continue;
    }
    // A site trains a version once: asked for the newest already, it waits for the next one.
    if (behind > 0) await asking(site);
    if (taken.length === size) await dropOutliers(taken, federation, standing, warn);
  }
  await noteEarlier(taken, round, federation);
  return {
    outcomes: taken.filter((one) => one.round === round),
    trained: taken,
    model: await aggregated(aggregating, outcomesOf(taken, previous, federation), previous, federation),
  };
}

/** Refuses updates far larger than the others: the buffer is then not full yet. */
async function dropOutliers(
  taken: Taken[],
  { inFlight }: Federation,
  standing: BufferSites,
  warn: (message: string) => void,
): Promise<void> {
  for (const [site, reason] of await inFlight.outliers(taken)) {
    taken.splice(
      taken.findIndex((one) => one.site === site),
      1,
    );
    standing.lose(site, reason);
    warn(`the update of ${site} is refused: ${reason}`);
  }
}

/** The weight of an update so many versions behind, in float32. */
function weightOf(behind: number): number {
  return Math.fround(1 / Math.sqrt(1 + behind));
}

/** The updates as results of a round, each scaled by its age; lazy. */
function outcomesOf(taken: readonly Taken[], previous: RoundInput['previous'], { round, codecs }: Federation): Outcome[] {
  return taken.map(({ site, round: asked, reply }) => {
    const update = reply.model as NonNullable<Reply['model']>;
    const addends = [{ model: update, weight: weightOf(round - asked) }];
    const model = asked === round ? update : sumModel({ addends, codecs, what: `the update of ${site}` });
    return { site, status: 'done', reply: { ...reply, model, isUpdate: true, base: previous } };
  });
}

/** Figures of models before the newest, as sites send them with their updates; the first ones stay. */
async function noteEarlier(taken: readonly Taken[], round: number, { history, job, note }: Federation): Promise<void> {
  for (const asked of new Set(taken.map((one) => one.round))) {
    if (asked === round || history.find((step) => step.round === asked - 1)?.evaluation) continue;
    const those = taken.filter((one) => one.round === asked);
    await note(asked - 1, siteMean(those, job.weights));
  }
}

/** The row `fedBuff`, with the options `buffer` and `staleness`; an aggregator is given a buffer. */
export const fedBuffRow = row(
  'fedBuff',
  z.strictObject({ buffer: z.int().min(1).optional(), staleness: z.int().min(0).max(1000).default(10) }),
  (options: FedBuffOptions) => Object.assign(fedBuff(options), { leastResults: (job: Job) => leastIn(job, options.buffer) }),
);
