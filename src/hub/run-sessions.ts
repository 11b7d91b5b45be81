// The live sessions of one run: at most one for each site. An error in one ends no other.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { within } from '../core/within.js';
import type { Session } from '../frame/session.js';
import { type Identity, refusal } from './admission.js';
import type { HubRun } from './hub-run.js';

/** Time for sites to hear that the run is over before their connections are closed. */
const FAREWELL_MS = 3_000;

/** A session, and how its site has proven its name. */
interface Live {
  readonly session: Session;
  readonly identity: Identity | undefined;
}

/** The sessions of one run, by site. */
export class RunSessions {
  readonly run: HubRun;
  readonly #live = new Map<string, Live>();
  #over = false;

  constructor(run: HubRun) {
    this.run = run;
  }

  /**
   * Gives the run a session of one of its sites, which has proven its name, and closes an older one
   * of the same site. Throws a refusal where the site is not one of the run, or where the older
   * session has another identity, and `closed` where the session or the run is over.
   */
  admit(site: string, identity: Identity | undefined, session: Session): void {
    const { run } = this;
    if (this.#over) throw new FedStreamError('closed', 'the run is over');
    if (session.ended) throw new FedStreamError('closed', `${session.peer} left before it was admitted`);
    if (!run.sites.includes(site)) throw refusal(`${site} is not a site of the run ${run.name}`);
    const older = this.#live.get(site);
    // Only the site itself may end its older session: by the same certificate or the same token. What
    // has neither is in this process, and gives way only to its like.
    if (older && older.identity !== identity) throw refusal(`${site} is connected already, with other credentials; its session ends first`);
    session.extendIdle(run.idleMs);
    run.serve(session).catch((error: unknown) => session.close(asFedStreamError(error)));
    this.#live.set(site, { session, identity });
    if (older) void older.session.close(new FedStreamError('refused', `${site} has connected again`));
    run.onConnection(site, true);
    void session.closed.then(() => {
      if (this.#live.get(site)?.session !== session) return;
      this.#live.delete(site);
      run.onConnection(site, false);
    });
  }

  /**
   * Waits while sites ask for their next task, hear that there is none, and leave by themselves.
   */
  async farewell(): Promise<void> {
    await within(Promise.all([...this.#live.values()].map(({ session }) => session.closed)), FAREWELL_MS);
  }

  /** Closes every session, with the reason if there is one, and admits no further one. */
  async close(reason?: FedStreamError): Promise<void> {
    this.#over = true;
    await Promise.all([...this.#live.values()].map(({ session }) => session.close(reason)));
  }
}
