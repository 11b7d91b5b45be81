// The run of a job in a hub: admits the job's sites, runs its workflow, and tells all sites when it
// is over.
import { asFedStreamError, type ErrorCode, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { FIXED_TEXTS } from '../core/told.js';
import type { Memory } from '../exchange/protocol.js';
import type { Session } from '../frame/session.js';
import { whichIsOlder } from '../frame/which-is-older.js';
import { siteNames } from '../job/job.js';
import { workflowOf } from '../kit/kit.js';
import type { EmitEvent } from '../record/events.js';
import { Run, type RunOptions, type RunResult } from '../server/run.js';
import { SiteSession, type SiteSessionOptions } from '../server/site-session.js';
import type { Workflow } from '../workflow/federation.js';
import type { AdmissionRules } from './admission.js';
import type { AddedRun, Hub } from './hub.js';

/** What only a run inside another sets. */
type OwnedOptions = Pick<RunOptions, 'waits' | 'broadcaster' | 'onAgreed'>;

/** Options of `openJobRun`. */
export type OwnedRunOptions = JobRunOptions & OwnedOptions;

/** Options of `addJobRun`. */
export interface JobRunOptions extends Omit<RunOptions, 'workflow' | keyof OwnedOptions> {
  /** The workflow; by default the built-in one that the job names. */
  readonly workflow?: Workflow;
  /**
   * The name of the run, which sites of a hub with several runs give; by default the job's name, or
   * `run`.
   */
  readonly name?: string | undefined;
  /** Texts of the model folder that sites fetch, by file name. */
  readonly files: Readonly<Record<string, string>>;
  /**
   * The credentials that the run requires of its sites. Without it sites need a certificate of their
   * name, except those in this process (`memory://`).
   */
  readonly admission?: AdmissionRules;
  /** Reads the memory use of this process, for the figures of transfers. */
  readonly memory?: () => Memory;
}

/** A run whose sites can connect, and wait for their first task. */
export interface JobRun {
  /**
   * Runs the job to its end and leaves the hub. Finished rounds are on disk even when it throws
   * (`quorum`, `aborted`, `io`, …).
   */
  finish(): Promise<RunResult>;
}

/**
 * Adds the run of a job to a hub. Its sites can connect from now on; `finish` starts the run, or
 * continues the one in its folder. When the hub closes, the run ends with the hub's reason.
 */
export async function addJobRun(hub: Hub, options: JobRunOptions): Promise<JobRun> {
  const { finish } = await openJobRun(hub, options);
  return { finish };
}

/** As `addJobRun`, with the run itself, for those who steer it from outside its workflow. */
export async function openJobRun(hub: Hub, options: OwnedRunOptions): Promise<JobRun & { readonly run: Run }> {
  const { job, files, memory, log, workflow = workflowOf(job) } = options;
  const signal = AbortSignal.any([options.signal, hub.signal]);
  const emit = guarded(options.emit, log);
  const run = await Run.open({ ...options, emit, workflow, signal });
  const added = hub.add({
    name: options.name ?? job.name ?? 'run',
    sites: siteNames(job),
    admission: options.admission ?? {},
    idleMs: job.idleMs,
    serve: (session) => serve(session, { run, job, files, emit, memory, log }),
    onConnection: (site, connected) => run.board.connection(site, connected),
  });
  return { run, finish: () => finish(run, added, signal) };
}

/** Emits events for sessions, which must not end by a receiver of events that throws. */
function guarded(emit: EmitEvent, log: Logger): EmitEvent {
  return (event) => {
    try {
      emit(event);
    } catch (error) {
      log.error({ event: event.type }, `an event was lost: ${asFedStreamError(error).message}`);
    }
  };
}

/** Reasons for the end of a session that its operator should look at. */
const NOTABLE: ReadonlySet<ErrorCode> = new Set(['bad-frame', 'limit', 'internal', 'checksum', 'digest', 'bad-job', 'unsupported']);

/** Reasons that another release may explain: the site cannot read or do what this side sends. */
const MISFITS: ReadonlySet<ErrorCode> = new Set(['bad-job', 'unsupported']);

/** Answers a site until its session ends. */
async function serve(session: Session, options: SiteSessionOptions): Promise<void> {
  const { run } = options;
  const { log } = run.budgetOf(session.peerName);
  new SiteSession(session, options);
  log.info({ site: session.peerName, peer: session.address, release: session.peerRelease }, 'connected');
  const { code, message } = await session.closed;
  const advice = MISFITS.has(code) ? `; ${whichIsOlder({ peer: session.peerName, release: session.peerRelease })}` : '';
  log[NOTABLE.has(code) ? 'warn' : 'info']({ site: session.peerName, code }, `${message}${advice}`);
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
    // The reason may name other sites and files of this machine: it stays in the server's log.
    await added.remove(new FedStreamError(failure.code, `the run was stopped: ${FIXED_TEXTS[failure.code]}`));
    throw failure;
  } finally {
    await added.remove();
  }
}
