// A relay in one call: its link to the server above, and the server of its own sites.
import { asFedStreamError, type FedStreamError } from '../core/errors.js';
import { RELAY_FEATURE } from '../frame/hello.js';
import { type RelayOptions, runRelayClient } from '../relay/relay.js';
import { type SiteLinkOptions, siteLink } from '../site/site-link.js';

/**
 * A relay in a program of one's own: the server above (`driver`, `url`, `site` as its name), its own
 * `sites` and their `admission`, the addresses at which they find it, and its owner's policy.
 */
export type RelayRunOptions = Omit<SiteLinkOptions & RelayOptions, 'link' | 'share' | 'features'>;

/**
 * Joins the server at `url` as one site, and is the server of sites of its own: it passes tasks on,
 * averages what its sites answer, and sends one update up, until the run is over; resolves with the
 * reason why it ended. Durable: with the same `folder` it goes on after `kill -9`. Rejects as
 * `runSite` does, and with any error that ends the run below (`io`).
 */
export async function runRelay(options: RelayRunOptions): Promise<string> {
  const link = siteLink({ ...options, features: [RELAY_FEATURE], share: options.policy?.share });
  let reason: FedStreamError | undefined;
  try {
    return await runRelayClient({ ...options, link });
  } catch (error) {
    reason = asFedStreamError(options.signal.aborted ? options.signal.reason : error, options.signal.aborted ? 'aborted' : 'internal');
    throw reason;
  } finally {
    await link.close(reason);
  }
}
