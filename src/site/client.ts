// A site's loop: joins the server, asks for tasks, does them and sends the answers until it is told
// to stop.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Task } from '../exchange/task.js';
import type { Trainer } from '../trainer/trainer.js';
import { jobDigest } from './job-digest.js';
import { checkJob } from './job-limits.js';
import { checkPolicy, enforced as inForce, type SitePolicy } from './policy.js';
import { folderOfRun } from './run-place.js';
import type { Joined } from './server-link.js';
import { StepReports } from './step-reports.js';
import type { TaskHandlers } from './task-handler.js';
import { TASK_HANDLERS } from './task-handlers.js';
import { siteTold } from './told.js';
import { isTransient } from './transient-errors.js';
import { Workplace, type WorkplaceOptions } from './workplace.js';

/** Options of a site: its link to the server, its owner's policy, and its trainer. */
export interface ClientOptions extends WorkplaceOptions {
  /** Rules of the site's owner, which hold whatever the job says; `DEFAULT_LIMITS` without any. */
  readonly policy?: SitePolicy | undefined;
  /** Makes the site's own trainer for a job; the server sends data, never code. */
  makeTrainer(joined: Joined): Promise<Trainer>;
  /** Called with each failure that the server is told of, in the words that stay here, and its task. */
  onFailure?(failure: FedStreamError, task: Task): void;
  /** Called with each task that was done. */
  onDone?(task: Task): void;
  /** Handlers for further kinds of tasks, beside those that every site knows. */
  readonly tasks?: TaskHandlers;
}

/**
 * Runs until the server says stop; resolves with the server's reason. Rejects with `aborted`,
 * `refused` (by the server, or by the site's own limits), or any other error that keeps the site
 * from working.
 */
export async function runClient(options: ClientOptions): Promise<string> {
  const { link } = options;
  // Whatever works for the server ends with the link, too.
  const signal = link.signal ? AbortSignal.any([options.signal, link.signal]) : options.signal;
  try {
    return await tasksUntilStop({ ...options, signal });
  } catch (error) {
    // What it interrupted fails in words of its own; the reason is the link's.
    throw !options.signal.aborted && link.signal?.aborted ? link.signal.reason : error;
  }
}

async function tasksUntilStop(options: ClientOptions): Promise<string> {
  const { link, log, site, policy, folder } = options;
  checkPolicy(policy);
  const joined = await link.join();
  const enforced = await inForce({ policy, folder: folderOfRun(folder, joined.run), log });
  const digest = await jobDigest(joined.job);
  log.info({ site, rounds: joined.job.rounds, digest, limits: enforced.limits }, 'joined the job');
  checkJob(joined.job, digest, enforced.limits, options.codecs);
  const trainer = await options.makeTrainer(joined);
  const place = new Workplace(joined, trainer, enforced, options);
  try {
    for (;;) {
      const next = await link.next();
      if ('stop' in next) return next.stop;
      await runTask(next.task, place, options);
    }
  } finally {
    await place.parts.stop();
    await trainer.close();
  }
}

/** Does one task. A failure is reported to the server, which decides how the round goes on. */
async function runTask(task: Task, place: Workplace, options: ClientOptions): Promise<void> {
  const { link, log, signal, onFailure = () => {}, onDone = () => {} } = options;
  const { share } = place.enforced;
  const reports = new StepReports(task, { ...options, steps: share.steps });
  try {
    const handlers = { ...TASK_HANDLERS, ...options.tasks };
    const handler = Object.hasOwn(handlers, task.kind) ? handlers[task.kind] : undefined;
    if (!handler)
      throw new FedStreamError(
        'unsupported',
        [`this site has no task ${JSON.stringify(task.kind)}; it has ${Object.keys(handlers).join(', ')}`, link.older?.() ?? []]
          .flat()
          .join('; '),
      );
    // Another task needs the trainer for itself.
    if (task.kind !== 'trainPart') await place.parts.stop();
    await handler(task, place, reports);
    onDone(task);
  } catch (error) {
    const failure = asFedStreamError(error);
    if (isTransient(failure, signal)) throw failure;
    place.failed();
    log.error({ task: task.id, code: failure.code }, failure.message);
    onFailure(failure, task);
    const when = share.errors || task.round === 0 ? '' : ` in round ${task.round}`;
    await link.fail(task.id, failure.code, `${siteTold(failure, share)}${when}`);
  } finally {
    reports.close();
  }
}
