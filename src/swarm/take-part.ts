// A site's part in a round at an aggregator: the same loop over tasks, with the same trainer, folder
// and rules of its owner, until it holds the new model.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Driver } from '../driver/driver.js';
import { SWARM, SWARM_RUN } from '../exchange/swarm.js';
import type { ResultFigures, Task } from '../exchange/task.js';
import { siteCredentials } from '../frame/proof.js';
import type { Job } from '../job/job.js';
import { runClient } from '../site/client.js';
import { jobDigest } from '../site/job-digest.js';
import { keptResult } from '../site/kept-result.js';
import type { Joined, ServerLink } from '../site/server-link.js';
import { siteLink } from '../site/site-link.js';
import type { StepReports } from '../site/step-reports.js';
import type { Workplace } from '../site/workplace.js';
import { keepState } from './keep-state.js';
import type { SwarmOptions } from './options.js';
import { overridden } from './overridden.js';
import type { Part } from './part.js';

/** An aggregator, and the way to it. */
export interface Aggregator {
  readonly site: string;
  readonly driver: Driver;
  readonly url: string;
}

/** An aggregator that is away is looked for so many times the time after which a connection is dead. */
const LOOKED_FOR_TIMES = 2;

/**
 * Takes part until the site holds the new model and the aggregator knows. Rejects with `quorum` where
 * the aggregator is gone, or ends the round without this site; with `refused` where it has another job
 * or run than the coordinator.
 */
export async function takePart(
  part: Part,
  aggregator: Aggregator,
  place: Workplace,
  reports: StepReports,
  options: SwarmOptions,
): Promise<void> {
  if (part.done) return;
  const { site, driver, url } = aggregator;
  const { signal, job } = place;
  const link = siteLink({
    ...options,
    driver,
    url,
    signal,
    run: SWARM_RUN,
    credentials: siteCredentials(part.token),
    // The folder is locked already, for the run as a whole.
    places: options.places && { enter: () => {}, inUse: (name) => options.places?.inUse(name) ?? false },
    retryMs: LOOKED_FOR_TIMES * job.idleMs,
    // An aggregator begins to listen when it is asked to, which may be a moment after the others.
    log: { ...options.log, warn: options.log.info },
    share: place.enforced.share,
  });
  let reason: FedStreamError | undefined;
  try {
    const ended = await runClient({
      ...options,
      signal,
      link: partLink(link, part, aggregator, place, reports),
      makeTrainer: async () => overridden(place.trainer, { close: async () => {} }),
      tasks: { [SWARM.keep]: keepState },
    });
    if (!part.evaluated) throw new FedStreamError('quorum', `the aggregator ${site} ended the round without this site: ${ended}`);
  } catch (error) {
    reason = asFedStreamError(error);
    if (signal.aborted) throw error;
    // A model that is held is held, whatever has become of the aggregator since.
    if (!part.evaluated || reason.code === 'refused')
      throw new FedStreamError(reason.code === 'refused' ? 'refused' : 'quorum', `the aggregator ${site} at ${url}: ${reason.message}`, {
        cause: reason.cause ?? reason,
      });
  } finally {
    await link.close(reason);
  }
  await part.end();
}

/** The link, which notes what leaves, tells the coordinator of steps, and ends with the new model. */
function partLink(link: ServerLink, part: Part, aggregator: Aggregator, place: Workplace, reports: StepReports): ServerLink {
  const note = async (task: Task, figures: ResultFigures): Promise<void> => {
    if (task.kind === 'train') await part.training({ ...figures });
    if (task.kind === 'evaluate') await part.holding({ ...figures });
  };
  return overridden<ServerLink>(link, {
    join: async () => sameRun(await link.join(), aggregator, place),
    next: async () => (part.done ? { stop: 'this site holds the new model' } : link.next()),
    progress: async (report) => {
      for (const step of report.steps) reports.onStep(step);
      if (report.alive) reports.onProgress();
      await link.progress(report);
    },
    sendResult: async (task, figures, result) => {
      await note(task, figures);
      const sent = await link.sendResult(task, figures, result);
      await note(task, figures); // coding has counted meanwhile
      if (task.kind === 'evaluate') await part.end();
      return sent;
    },
    sendKept: async (task) => {
      const kept = await keptResult(place.folder, task);
      const sent = await link.sendKept(task);
      if (kept && sent) await note(task, kept.figures);
      return sent;
    },
  });
}

/** An aggregator asks for what the coordinator's job says, and works for the same run. */
async function sameRun(joined: Joined, { site }: Aggregator, { job, run, files }: Workplace): Promise<Joined> {
  if (joined.run !== run) throw new FedStreamError('refused', `${site} works for the run ${joined.run}, and this site for ${run}`);
  const [theirs, ours] = await Promise.all([joined.job, job].map((one) => jobDigest(withoutSites(one))));
  if (theirs !== ours)
    throw new FedStreamError('refused', `${site} has another job than the coordinator: digest ${theirs} instead of ${ours}`);
  return { job, run, files };
}

/** Sites that are away are none of the round's. */
function withoutSites(job: Job): Job {
  return { ...job, sites: 1 };
}
