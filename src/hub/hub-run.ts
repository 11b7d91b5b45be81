// The seam between a hub and a run: what the hub must know of a run to give it its sites, and nothing else.
import type { Session } from '../frame/session.js';
import type { AdmissionRules } from './admission.js';

/** A run as its hub sees it. Its tasks, models and files are its own: the hub hands sessions over and looks no further. */
export interface HubRun {
  /** Sites name it in their hello. One run of a name at a time; 1 to 64 letters, digits, dots, dashes or underscores. */
  readonly name: string;
  /** Names of its sites: no other one is let in. */
  readonly sites: readonly string[];
  /** How its sites prove their names. */
  readonly admission: AdmissionRules;
  /** Silence in ms after which a site's connection is given up. */
  readonly idleMs: number;
  /**
   * Takes the session of a site that was let in, and settles once it is over. It is called before the site's next frame
   * is read: handlers are set before the first `await`. A rejection ends this session and no other.
   */
  serve(session: Session): Promise<void>;
  /** Called when a site has got a connection, and when it has none any more. A site that connects again in between has one all along. */
  onConnection(site: string, connected: boolean): void;
}
