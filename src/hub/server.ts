// The server of a run: listens, lets the job's sites in, runs the rounds, and tells everybody when it is over.
import type { CodecTable } from '../codec/codec.js';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Folder } from '../core/storage.js';
import { readText, writeText } from '../core/storage-text.js';
import { within } from '../core/within.js';
import type { Connection, Driver } from '../driver/driver.js';
import type { Memory } from '../exchange/protocol.js';
import type { Session, Shown } from '../frame/session.js';
import { type Job, quorumOf, siteNames } from '../job/job.js';
import type { EmitEvent } from '../record/events.js';
import { chooseStart } from '../server/choose-start.js';
import { takeInitialModel } from '../server/initial-model.js';
import { RoundExchange } from '../server/round-exchange.js';
import { type RoundsResult, runRounds } from '../server/rounds.js';
import { serveSite } from '../server/site-session.js';
import { TaskBoard } from '../server/task-board.js';
import type { Trainer } from '../trainer/trainer.js';
import { fedAvg } from '../workflow/fed-avg.js';
import { type AdmissionRules, checkAdmission } from './admission.js';
import { Strangers } from './strangers.js';

export interface ServerOptions {
  readonly job: Job;
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

/** How often a server that waits for sites says so. */
const WAITING_LOG_MS = 10_000;
/** How long sites get to hear that the run is over before their connections are closed. */
const FAREWELL_MS = 3_000;

/** Runs the job to its end. What was finished is on disk whenever it throws: `quorum`, `aborted`, `io`, … */
export async function runServer(options: ServerOptions): Promise<RoundsResult> {
  const { job, run, codecs, log, emit, signal, files } = options;
  const board = new TaskBoard(siteNames(job));
  const runName = await nameOf(run);
  const exchange = new RoundExchange({ job, run, codecs });
  const sessions = new Map<string, Session>();
  const admit = (site: string, shown: Shown, session: Session): void => {
    checkAdmission(site, shown, options.admission ?? {});
    board.sign(site); // refuses a name that is not in the job
    const older = sessions.get(site);
    sessions.set(site, session);
    if (older) void older.close(new FedStreamError('refused', `${site} has connected again`));
    board.connection(site, true);
    void session.closed.then(() => {
      if (sessions.get(site) !== session) return;
      sessions.delete(site);
      board.connection(site, false);
    });
  };
  const serve = { job, runName, files, board, exchange, emit, memory: options.memory, log, admit };
  const strangers = new Strangers();
  const accept = (connection: Connection): void => strangers.add(connection, (known) => void serveSite(connection, { ...serve, known }));
  const onRefused = (peer: string, error: FedStreamError): void => log.warn({ peer, code: error.code }, error.message);
  const listener = await options.driver.listen?.(options.url, accept, { signal, onRefused });
  if (!listener) throw new FedStreamError('unsupported', `${options.url}: this driver cannot listen`);
  try {
    options.onListening(listener.url);
    await waitForSites(board, job, log, signal);
    await takeInitialModel({ job, run, board, log, signal });
    exchange.beginWith(await chooseStart({ job, run, board, exchange, evaluates: options.evaluator !== undefined, log, signal }));
    const result = await runRounds({ ...options, board, exchange, aggregator: fedAvg(codecs) });
    board.stop(result.reason);
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

const RUN_NAME = 'run-name';

/** Made once and kept: what sites hold is bound to it, so that another run in the same folders of theirs begins anew. */
async function nameOf(run: Folder): Promise<string> {
  const known = await readText(run, RUN_NAME);
  if (known !== undefined) return known.trim();
  const name = crypto.randomUUID();
  await writeText(run, RUN_NAME, `${name}\n`);
  return name;
}

/** All sites, or a quorum when no further one has come for the straggler's time. */
async function waitForSites(board: TaskBoard, job: Job, log: Logger, signal: AbortSignal): Promise<void> {
  const sites = siteNames(job);
  let changedMs = performance.now();
  let toldMs = Number.NEGATIVE_INFINITY;
  let before = 0;
  for (;;) {
    signal.throwIfAborted();
    const connected = board.connectedSites();
    if (connected.length === sites.length) return;
    const nowMs = performance.now();
    if (connected.length !== before) changedMs = nowMs;
    before = connected.length;
    if (connected.length >= quorumOf(job) && nowMs - changedMs > job.stragglerMs) return;
    if (nowMs - toldMs > WAITING_LOG_MS) {
      const missing = sites.filter((site) => !connected.includes(site));
      log.info({ connected, missing }, `waiting for ${missing.length} of ${sites.length} sites: ${missing.join(', ')}`);
      toldMs = nowMs;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Sites ask for their next task, hear that there is none, and leave by themselves. */
async function farewell(sessions: ReadonlyMap<string, Session>): Promise<void> {
  await within(Promise.all([...sessions.values()].map((session) => session.closed)), FAREWELL_MS);
}
