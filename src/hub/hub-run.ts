// The interface between a hub and a run: what the hub must know of a run to hand it the sessions of
// its sites.
import type { Session } from '../frame/session.js';
import type { AdmissionRules } from './admission.js';

/**
 * A run as its hub sees it. The hub hands over sessions and knows nothing of the run's tasks,
 * models and files.
 */
export interface HubRun {
  /**
   * The name that sites give in their hello, unique among the hub's runs. 1 to 64 letters, digits,
   * dots, dashes or underscores.
   */
  readonly name: string;
  /** Names of the run's sites; all others are refused. */
  readonly sites: readonly string[];
  /** The credentials that the run requires of its sites. */
  readonly admission: AdmissionRules;
  /** Silence in ms after which a site's connection is closed. */
  readonly idleMs: number;
  /**
   * Takes over the session of an admitted site, and settles once the session is over. It is called
   * before the site's next frame is read, so handlers must be set before the first `await`. A
   * rejection ends this session and no other.
   */
  serve(session: Session): Promise<void>;
  /**
   * Called when a site gets a connection, and when it has none any more. A site that reconnects
   * before its old connection has ended counts as connected throughout.
   */
  onConnection(site: string, connected: boolean): void;
}
