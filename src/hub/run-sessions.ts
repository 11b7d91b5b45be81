// The live sessions of one run: at most one for each site. An error in one ends no other.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { within } from '../core/within.js';
import type { Credentials, Session } from '../frame/session.js';
import { checkAdmission } from './admission.js';
import type { HubRun } from './hub-run.js';

/** Time for sites to hear that the run is over before their connections are closed. */
const FAREWELL_MS = 3_000;

/** The sessions of one run, by site. */
export class RunSessions {
  readonly run: HubRun;
  readonly #live = new Map<string, Session>();

  constructor(run: HubRun) {
    this.run = run;
  }

  /**
   * Gives the run a session of one of its sites and closes an older one of the same site. Throws
   * `refused` where the site is not admitted.
   */
  admit(site: string, credentials: Credentials, session: Session): void {
    const { run } = this;
    // Credentials come first: a peer without them must not learn the names of the run's sites.
    checkAdmission(site, credentials, run.admission);
    if (!run.sites.includes(site)) throw new FedStreamError('refused', `${site} is not a site of the run ${run.name}`);
    session.extendIdle(run.idleMs);
    run.serve(session).catch((error: unknown) => session.close(asFedStreamError(error)));
    const older = this.#live.get(site);
    this.#live.set(site, session);
    if (older) void older.close(new FedStreamError('refused', `${site} has connected again`));
    run.onConnection(site, true);
    void session.closed.then(() => {
      if (this.#live.get(site) !== session) return;
      this.#live.delete(site);
      run.onConnection(site, false);
    });
  }

  /**
   * Waits while sites ask for their next task, hear that there is none, and leave by themselves.
   */
  async farewell(): Promise<void> {
    await within(Promise.all([...this.#live.values()].map((session) => session.closed)), FAREWELL_MS);
  }

  /** Closes every session, with the reason if there is one. */
  async close(reason?: FedStreamError): Promise<void> {
    await Promise.all([...this.#live.values()].map((session) => session.close(reason)));
  }
}
