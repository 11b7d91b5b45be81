// The server of a run: listens, lets the job's sites in, runs the rounds, and tells everybody when it is over.
import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { within } from '../core/within.js';
import type { Connection, Driver } from '../driver/driver.js';
import type { Memory } from '../exchange/protocol.js';
import { Session, type Shown } from '../frame/session.js';
import type { Job } from '../job/job.js';
import { workflowOf } from '../kit/kit.js';
import type { EmitEvent } from '../record/events.js';
import { Run, type RunResult } from '../server/run.js';
import { SiteSession, type SiteSessionOptions } from '../server/site-session.js';
import type { Trainer } from '../trainer/trainer.js';
import type { Workflow } from '../workflow/federation.js';
import { type AdmissionRules, checkAdmission } from './admission.js';
import { Strangers } from './strangers.js';

export interface ServerOptions {
  readonly job: Job;
  /** By default the one that the job names, of those that come with FedStream. */
  readonly workflow?: Workflow;
  readonly run: Folder;
  /** Texts of the model folder that sites fetch. */
  readonly files: Readonly<Record<string, string>>;
  readonly codecs: CodecTable;
  readonly driver: Driver;
  readonly url: string;
  /** How sites prove their names. */
  readonly admission?: AdmissionRules;
  readonly evaluator?: Trainer;
  readonly emit: EmitEvent;
  /** Of this process, for the figures of transfers. */
  readonly memory?: () => Memory;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Called with the URL that sites connect to. */
  onListening(url: string): void;
}

/** How long sites get to hear that the run is over before their connections are closed. */
const FAREWELL_MS = 3_000;

/** Runs the job to its end. What was finished is on disk whenever it throws: `quorum`, `aborted`, `io`, … */
export async function runServer(options: ServerOptions): Promise<RunResult> {
  const { job, log, signal, files, emit, memory, workflow = workflowOf(job) } = options;
  const run = await Run.open({ ...options, workflow });
  const sessions = new Map<string, Session>();
  const admit = (site: string, shown: Shown, session: Session): void => {
    checkAdmission(site, shown, options.admission ?? {});
    run.board.progress(site); // refuses a name that is not in the job
    const older = sessions.get(site);
    sessions.set(site, session);
    if (older) void older.close(new FedStreamError('refused', `${site} has connected again`));
    run.board.connection(site, true);
    void session.closed.then(() => {
      if (sessions.get(site) !== session) return;
      sessions.delete(site);
      run.board.connection(site, false);
    });
  };
  const serve = { run, job, files, emit, memory, log };
  const strangers = new Strangers();
  const accept = (connection: Connection): void =>
    strangers.add(connection, (known) => void serveSite(connection, { ...serve, admit, known }));
  const onRefused = (peer: string, error: FedStreamError): void => log.warn({ peer, code: error.code }, error.message);
  const listener = await options.driver.listen?.(options.url, accept, { signal, onRefused });
  if (!listener) throw new FedStreamError('unsupported', `${options.url}: this driver cannot listen`);
  try {
    options.onListening(listener.url);
    const result = await run.steer();
    run.board.stop(result.reason);
    await farewell(sessions);
    return result;
  } catch (error) {
    const failure = signal.aborted ? asFedStreamError(signal.reason, 'aborted') : asFedStreamError(error);
    const told = new FedStreamError(failure.code, `the run was stopped: ${failure.message}`);
    await Promise.all([...sessions.values()].map((session) => session.close(told)));
    throw failure;
  } finally {
    await listener.close();
    await Promise.all([...sessions.values()].map((session) => session.close()));
  }
}

interface ServeSiteOptions extends SiteSessionOptions {
  /** Throws `refused` where the name may not join; called once the site has said hello. */
  admit(site: string, shown: Shown, session: Session): void;
  /** Called once the connection has said who it is, or is over. */
  known(): void;
}

/** Serves a connection until it ends. Never throws: what a peer does wrong ends its own session with a line in the log. */
async function serveSite(connection: Connection, options: ServeSiteOptions): Promise<void> {
  const { job, log, run } = options;
  const session = new Session(connection, { name: 'server', idleMs: job.idleMs });
  new SiteSession(session, options);
  let admitted = false;
  // Logged before the peer can know of it: start() fails only once the connection is closed, when the peer may be gone.
  void session.closed.then(({ code, message }) => {
    if (!admitted) log.warn({ peer: connection.peer, code }, `a connection was refused: ${message}`);
  });
  try {
    await session.start((name, shown) => {
      options.admit(name, shown, session);
      admitted = true;
    });
  } catch {
    return;
  } finally {
    options.known();
  }
  log.info({ site: session.peerName, peer: connection.peer }, 'connected');
  const ended = await session.closed;
  log.info({ site: session.peerName, code: ended.code }, ended.message);
  run.board.progress(session.peerName);
}

/** Sites ask for their next task, hear that there is none, and leave by themselves. */
async function farewell(sessions: ReadonlyMap<string, Session>): Promise<void> {
  await within(Promise.all([...sessions.values()].map((session) => session.closed)), FAREWELL_MS);
}
