// The run of a job in a hub: lets the job's sites in, runs its workflow, and tells everybody when it is over.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Memory } from '../exchange/protocol.js';
import type { Session } from '../frame/session.js';
import { siteNames } from '../job/job.js';
import { workflowOf } from '../kit/kit.js';
import { Run, type RunOptions, type RunResult } from '../server/run.js';
import { SiteSession, type SiteSessionOptions } from '../server/site-session.js';
import type { Workflow } from '../workflow/federation.js';
import type { AdmissionRules } from './admission.js';
import type { AddedRun, Hub } from './hub.js';

export interface JobRunOptions extends Omit<RunOptions, 'workflow'> {
  /** By default the one that the job names, of those that come with FedStream. */
  readonly workflow?: Workflow;
  /** Sites of a hub with several runs name it; by default the job's name, or `run`. */
  readonly name?: string | undefined;
  /** Texts of the model folder that sites fetch. */
  readonly files: Readonly<Record<string, string>>;
  /** How sites prove their names. */
  readonly admission?: AdmissionRules;
  /** Of this process, for the figures of transfers. */
  readonly memory?: () => Memory;
}

/** A run whose sites can connect, and wait for their first task. */
export interface JobRun {
  /** Runs the job to its end, and leaves the hub. What was finished is on disk whenever it throws: `quorum`, `aborted`, `io`, … */
  finish(): Promise<RunResult>;
}

/**
 * Adds the run of a job to a hub: its sites can connect from now on, and `finish` begins, or goes on with what its folder
 * has. When the hub closes, the run ends with the hub's reason.
 */
export async function addJobRun(hub: Hub, options: JobRunOptions): Promise<JobRun> {
  const { job, files, emit, memory, log, workflow = workflowOf(job) } = options;
  const signal = AbortSignal.any([options.signal, hub.signal]);
  const run = await Run.open({ ...options, workflow, signal });
  const added = hub.add({
    name: options.name ?? job.name ?? 'run',
    sites: siteNames(job),
    admission: options.admission ?? {},
    idleMs: job.idleMs,
    serve: (session) => serve(session, { run, job, files, emit, memory, log }),
    onConnection: (site, connected) => run.board.connection(site, connected),
  });
  return { finish: () => finish(run, added, signal) };
}

/** Answers a site until its session ends. */
async function serve(session: Session, options: SiteSessionOptions): Promise<void> {
  const { log, run } = options;
  new SiteSession(session, options);
  log.info({ site: session.peerName, peer: session.address }, 'connected');
  const ended = await session.closed;
  log.info({ site: session.peerName, code: ended.code }, ended.message);
  run.board.progress(session.peerName);
}

async function finish(run: Run, added: AddedRun, signal: AbortSignal): Promise<RunResult> {
  try {
    const result = await run.steer();
    run.board.stop(result.reason);
    await added.farewell();
    return result;
  } catch (error) {
    const failure = signal.aborted ? asFedStreamError(signal.reason, 'aborted') : asFedStreamError(error);
    await added.remove(new FedStreamError(failure.code, `the run was stopped: ${failure.message}`));
    throw failure;
  } finally {
    await added.remove();
  }
}
