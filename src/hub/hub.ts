// A hub: listeners, connections that have not said who they are, and the sessions of sites, handed to the run that each is for.
import { FedStreamError } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { Connection, Driver, DriverOptions, Listener } from '../driver/driver.js';
import { DEFAULT_IDLE_MS, Session } from '../frame/session.js';
import type { HubRun } from './hub-run.js';
import { PendingConnections } from './pending-connections.js';
import { RunSessions } from './run-sessions.js';

export interface HubOptions {
  /** Connections that were refused go there; what a site does within its run is logged by the run. */
  readonly log: Logger;
}

/** A run in a hub. */
export interface AddedRun {
  /** Gives its sites a moment to hear that the run is over, and to leave by themselves. */
  farewell(): Promise<void>;
  /** Ends its sessions, with the reason if there is one, and lets no further site in. Listeners and other runs stay. */
  remove(reason?: FedStreamError): Promise<void>;
}

/**
 * Any number of listeners and runs in one process. A site reaches every run over every listener; its hello says which one
 * it wants, and its name and credentials are checked against that run alone. Runs never see each other's sites.
 */
export class Hub {
  readonly #options: HubOptions;
  readonly #listeners = new Set<Listener>();
  readonly #pending = new PendingConnections();
  readonly #runs = new Map<string, RunSessions>();
  readonly #stop = new AbortController();

  constructor(options: HubOptions) {
    this.#options = options;
  }

  /** Aborted once the hub closes: its runs end with it. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /**
   * Lets sites connect there, over this driver and its own TLS. Throws what the driver throws (`io` where the address is
   * in use), `unsupported` where it cannot listen. Closing the listener leaves its connections alone.
   */
  async listen(driver: Driver, url: string, options: DriverOptions = {}): Promise<Listener> {
    this.signal.throwIfAborted();
    const onRefused = (peer: string, error: FedStreamError): void => this.#options.log.warn({ peer, code: error.code }, error.message);
    const listening = await driver.listen?.(url, (connection) => void this.#accept(connection), { onRefused, ...options });
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

  /** Lets the run's sites in from now on. `bad-argument` where the hub has a run of that name. */
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

  /** Ends listeners, connections and sessions, and tells the runs. Idempotent. */
  async close(reason?: FedStreamError): Promise<void> {
    const told = reason ?? new FedStreamError('closed', 'the hub was closed');
    this.#stop.abort(told);
    await Promise.all([...this.#listeners].map((listener) => listener.close()));
    const sessions = [...this.#runs.values()];
    this.#runs.clear();
    await Promise.all([this.#pending.close(told), ...sessions.map((each) => each.close(reason))]);
  }

  /** Never rejects: a peer that does something wrong ends its own connection, with a line in the log. */
  async #accept(connection: Connection): Promise<void> {
    this.#pending.add(connection);
    const session = new Session(connection, { name: 'server', idleMs: this.#idleMs() });
    let admitted = false;
    // Logged before the peer can know of it: start() fails only once the connection is closed, when the peer may be gone.
    void session.closed.then(({ code, message }) => {
      if (!admitted) this.#options.log.warn({ peer: connection.peer, code }, `a connection was refused: ${message}`);
    });
    try {
      await session.start((site, credentials, run) => {
        this.#find(run).admit(site, credentials, session);
        admitted = true;
      });
    } catch {
      // The line in the log has said it.
    } finally {
      this.#pending.remove(connection);
    }
  }

  /** The shortest of all runs, until the run is known: the site then sends its heartbeats often enough for every one of them. */
  #idleMs(): number {
    const limits = [...this.#runs.values()].map(({ run }) => run.idleMs);
    return limits.length === 0 ? DEFAULT_IDLE_MS : Math.min(...limits);
  }

  /** The run of that name, or the only one there is. Nobody is told the names of runs. */
  #find(name: string | undefined): RunSessions {
    // Not `refused`: a server that is about to end, or to begin, is tried again.
    if (this.#runs.size === 0) throw new FedStreamError('closed', 'there is no run here now');
    if (name !== undefined) {
      const found = this.#runs.get(name);
      if (found) return found;
      throw new FedStreamError('refused', `there is no run ${name} here; ask its server for the name`);
    }
    const [only, ...others] = this.#runs.values();
    if (only && others.length === 0) return only;
    throw new FedStreamError('refused', 'there are several runs here: say which one is meant (--run NAME)');
  }
}
