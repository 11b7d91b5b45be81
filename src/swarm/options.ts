// What a site needs to take part in a swarm, beside what every site has.
import type { Driver } from '../driver/driver.js';
import type { Kit } from '../kit/kit.js';
import type { ClientOptions } from '../site/client.js';
import type { RunPlaces } from '../site/run-place.js';
import type { Workplace } from '../site/workplace.js';
import type { StateDict } from '../tensor/state-dict.js';

/** Where a site listens while it is the aggregator. */
export interface SwarmListening {
  readonly driver: Driver;
  /** A fixed address: the others are told it before anybody listens there. */
  readonly url: string;
  /** The address that other sites connect to; by default `url`. */
  readonly address?: string | undefined;
  /** The authority of the certificate that is shown there, in PEM; it travels over the coordinator. */
  readonly certificate?: string | undefined;
}

/** The options of a site that hold at an aggregator too. */
type SiteOptions = Pick<
  ClientOptions,
  'site' | 'codecs' | 'filters' | 'folder' | 'policy' | 'bases' | 'log' | 'memory' | 'onFailure' | 'onDone'
>;

/** Options of `swarmTasks`: those of the site, its kit, and its ways to the other sites. */
export interface SwarmOptions extends SiteOptions {
  /** The tables that the job of a round is checked against, where this site is its aggregator. */
  readonly kit: Kit;
  /** Makes the driver for an aggregator's address; `certificate` is the authority that it announced. */
  driverFor(certificate: string | undefined): Driver;
  /** Missing where the site is never the aggregator. */
  readonly listen?: SwarmListening | undefined;
  /**
   * The hosts that this site connects to as aggregators: a name or an address, with a port or
   * without, or a whole URL. All others are refused, whatever the coordinator says.
   */
  readonly allow: readonly string[];
  readonly places?: RunPlaces | undefined;
  /** Called with the last model, float32 with a note of its dtypes, once the run is over. */
  onModel?(model: StateDict, run: Pick<Workplace, 'files' | 'run'>): Promise<void>;
}
