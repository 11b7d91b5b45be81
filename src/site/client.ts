// A site's loop: joins the server, asks for tasks, does them and sends the answers until it is told
// to stop.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Task } from '../exchange/task.js';
import type { Trainer } from '../trainer/trainer.js';
import { enforcePolicy, type SitePolicy } from './policy.js';
import type { Joined } from './server-link.js';
import { StepReports } from './step-reports.js';
import { TASK_HANDLERS, type TaskHandlers } from './task-handlers.js';
import { isTransient } from './transient-errors.js';
import { Workplace, type WorkplaceOptions } from './workplace.js';

/** Options of a site: its link to the server, its owner's policy, and its trainer. */
export interface ClientOptions extends WorkplaceOptions {
  /** Filters of the site's owner, applied to every result whatever the job says. */
  readonly policy?: SitePolicy | undefined;
  /** Makes the site's own trainer for a job; the server sends data, never code. */
  makeTrainer(joined: Joined): Promise<Trainer>;
  /** Handlers for further kinds of tasks, beside those that every site knows. */
  readonly tasks?: TaskHandlers;
}

/**
 * Runs until the server says stop; resolves with the server's reason. Rejects with `aborted`,
 * `refused`, or any other error that keeps the site from working.
 */
export async function runClient(options: ClientOptions): Promise<string> {
  const { link, log, site, policy, folder } = options;
  const siteFilters = await enforcePolicy({ policy, folder, log });
  const joined = await link.join();
  log.info({ site, rounds: joined.job.rounds }, 'joined the job');
  const trainer = await options.makeTrainer(joined);
  const place = new Workplace(joined, trainer, siteFilters, options);
  try {
    for (;;) {
      const next = await link.next();
      if ('stop' in next) return next.stop;
      await runTask(next.task, place, options);
    }
  } finally {
    await trainer.close();
  }
}

/** Does one task. A failure is reported to the server, which decides how the round goes on. */
async function runTask(task: Task, place: Workplace, options: ClientOptions): Promise<void> {
  const { link, log, signal } = options;
  const reports = new StepReports(task, options);
  try {
    const handlers = { ...TASK_HANDLERS, ...options.tasks };
    const handler = Object.hasOwn(handlers, task.kind) ? handlers[task.kind] : undefined;
    if (!handler)
      throw new FedStreamError(
        'unsupported',
        `this site has no task ${JSON.stringify(task.kind)}; it has ${Object.keys(handlers).join(', ')}`,
      );
    await handler(task, place, reports);
  } catch (error) {
    const failure = asFedStreamError(error);
    if (isTransient(failure, signal)) throw failure;
    log.error({ task: task.id, code: failure.code }, failure.message);
    await link.fail(task.id, failure.code, failure.message);
  } finally {
    reports.close();
  }
}
