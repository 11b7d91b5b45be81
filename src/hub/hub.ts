// A hub: listeners, pending connections, and the sessions of sites, each handed to its run.
import { type ErrorCode, FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import { serverTold } from '../core/told.js';
import { ConnectionGate } from '../driver/connection-gate.js';
import type { Connection, Driver, DriverOptions, Listener } from '../driver/driver.js';
import { schemeOf } from '../driver/scheme.js';
import { DEFAULT_IDLE_MS, Session } from '../frame/session.js';
import { type Applicant, identityOf, reasonOf, refusal } from './admission.js';
import type { HubRun } from './hub-run.js';
import { PendingConnections } from './pending-connections.js';
import { RefusedPeers } from './refused-peers.js';
import { RunSessions } from './run-sessions.js';
import { StrangerLog } from './stranger-log.js';

/** Options of a hub. */
export interface HubOptions {
  /** The log of refused connections; a run logs what its admitted sites do. */
  readonly log: Logger;
}

/** A run that was added to a hub. */
export interface AddedRun {
  /** Gives the sites a moment to hear that the run is over and to leave by themselves. */
  farewell(): Promise<void>;
  /**
   * Ends the run's sessions, with the reason if there is one, and admits no further site. Listeners
   * and other runs stay.
   */
  remove(reason?: FedStreamError): Promise<void>;
}

/**
 * Any number of listeners and runs in one process. A site reaches every run over every listener:
 * its hello names the run, and its name and credentials are checked against that run alone. Runs
 * never see each other's sites.
 */
export class Hub {
  readonly #options: HubOptions;
  readonly #listeners = new Set<Listener>();
  readonly #pending = new PendingConnections();
  readonly #refused = new RefusedPeers();
  readonly #strangers: StrangerLog;
  readonly #gate: ConnectionGate;
  /** Makes the verifiers of names that have no token. */
  readonly #secret = crypto.getRandomValues(new Uint8Array(32));
  readonly #runs = new Map<string, RunSessions>();
  readonly #stop = new AbortController();

  constructor(options: HubOptions) {
    this.#options = options;
    this.#strangers = new StrangerLog(options.log);
    this.#gate = new ConnectionGate((peer, { code, message }) => this.#strangers.warn(peer, code, message));
  }

  /** Aborted when the hub closes; runs should end with it. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /**
   * Listens at the address with this driver and its TLS options. Throws `unsupported` where the
   * driver cannot listen, and any error of the driver (`io` where the address is in use). Closing
   * the listener does not close its connections.
   */
  async listen(driver: Driver, url: string, options: DriverOptions = {}): Promise<Listener> {
    this.signal.throwIfAborted();
    const onRefused = (peer: string, { code, message }: FedStreamError): void => this.#tell(peer, code, message);
    const inProcess = schemeOf(url) === 'memory';
    const accept = (connection: Connection): void => void this.#accept(connection, inProcess);
    const listening = await driver.listen?.(url, accept, { onRefused, gate: this.#gate, ...options });
    if (!listening) throw new FedStreamError('unsupported', `${url}: this driver cannot listen`);
    const listener = {
      url: listening.url,
      close: (): Promise<void> => {
        this.#listeners.delete(listener);
        return listening.close();
      },
    };
    this.#listeners.add(listener);
    if (!this.signal.aborted) return listener;
    await listener.close();
    throw this.signal.reason;
  }

  /**
   * Admits the run's sites from now on. Throws `bad-argument` where the hub already has a run of
   * that name.
   */
  add(run: HubRun): AddedRun {
    this.signal.throwIfAborted();
    if (this.#runs.has(run.name))
      throw new FedStreamError('bad-argument', `there is a run ${run.name} here already; give this one another name`);
    const sessions = new RunSessions(run);
    this.#runs.set(run.name, sessions);
    return {
      farewell: () => sessions.farewell(),
      remove: (reason) => {
        if (this.#runs.get(run.name) === sessions) this.#runs.delete(run.name);
        return sessions.close(reason);
      },
    };
  }

  /** Closes listeners, connections and sessions, and ends the runs. Idempotent. */
  async close(reason?: FedStreamError): Promise<void> {
    const told = reason ?? new FedStreamError('closed', 'the hub was closed');
    this.#stop.abort(told);
    await Promise.all([...this.#listeners].map((listener) => listener.close()));
    const sessions = [...this.#runs.values()];
    this.#runs.clear();
    await Promise.all([this.#pending.close(told), ...sessions.map((each) => each.close(reason))]);
    this.#gate.close();
    this.#strangers.close();
  }

  /** Logs the refusal of a peer, unless the gate has done so. */
  #tell(peer: string, code: ErrorCode, message: string): void {
    if (!this.#gate.told(peer)) this.#strangers.warn(peer, code, message);
  }

  /** Never rejects: an error of a peer ends its own connection and is logged. */
  async #accept(connection: Connection, inProcess: boolean): Promise<void> {
    this.#pending.add(connection);
    const session = new Session(connection, { name: 'server', idleMs: this.#idleMs(), tell: serverTold });
    let admitted = false;
    let told = false;
    const refused = (code: ErrorCode, message: string): void => {
      if (!admitted && !told) this.#tell(connection.peer, code, `a connection was refused: ${message}`);
      told = true;
    };
    // The line is written when the session closes: start() fails only after that, when the peer may
    // already be gone.
    void session.closed.then(({ code, message }) => refused(code, message));
    try {
      await session.start(async (site, credentials, run) => {
        const applicant = { site, run, credentials, inProcess };
        try {
          await this.#admit(applicant, session);
          admitted = true;
          connection.admitted?.();
        } catch (error) {
          const reason = reasonOf(error);
          if (reason === undefined) throw this.#presentable(error, connection.peer);
          // A stranger hears nothing of the reason, and what it hears comes late.
          const waits = this.#refused.wait(connection.peer, site, credentials, this.signal);
          // Of those that are cut off the log says no more than of the many before them.
          if (waits) refused('refused', reason);
          else told = true;
          await (waits ?? connection.close(error as FedStreamError));
          throw error;
        }
      });
    } catch {
      // The error is logged already, when the session closed.
    } finally {
      this.#pending.remove(connection);
    }
  }

  /** An error that says nothing of this machine: any of our own making that is not a bug. */
  #presentable(error: unknown, peer: string): FedStreamError {
    if (error instanceof FedStreamError) return error;
    this.#options.log.error({ peer }, `a connection was not decided on: ${error instanceof Error ? error.message : String(error)}`);
    return new FedStreamError('internal', 'the server could not decide on the site; its log has the reason');
  }

  async #admit(applicant: Applicant, session: Session): Promise<void> {
    const { site, run } = applicant;
    // Not a refusal, so that a site tries again: the server may be about to start a run or to end.
    if (this.#runs.size === 0) throw new FedStreamError('closed', 'there is no run here now');
    const sessions = this.#find(run);
    // The proof comes first: without it a peer must not learn the names of runs, or of their sites.
    const identity = await identityOf(applicant, sessions?.run.admission, this.#secret);
    if (!sessions) throw refusal(this.#unknown(run));
    sessions.admit(site, identity, session);
  }

  /**
   * The shortest idle time of all runs, used until the run is known: the site then sends heartbeats
   * often enough for each of them.
   */
  #idleMs(): number {
    const limits = [...this.#runs.values()].map(({ run }) => run.idleMs);
    return limits.length === 0 ? DEFAULT_IDLE_MS : Math.min(...limits);
  }

  /** The run of that name, or the only one there is. */
  #find(name: string | undefined): RunSessions | undefined {
    if (name !== undefined) return this.#runs.get(name);
    const [only, ...others] = this.#runs.values();
    return others.length === 0 ? only : undefined;
  }

  #unknown(name: string | undefined): string {
    if (name === undefined) return 'there are several runs here: the site must say which one is meant (--run NAME)';
    return `there is no run ${name} here`;
  }
}
