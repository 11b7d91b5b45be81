// A site in one call: its link to the server, and the loop over its tasks.
import { asFedStreamError, type FedStreamError } from '../core/errors.js';
import { type ClientOptions, runClient } from '../site/client.js';
import { type SiteLinkOptions, siteLink } from '../site/site-link.js';

/**
 * A site in a program of one's own: the server's address, the trainer, and the owner's policy on
 * results.
 */
export type SiteOptions = Omit<SiteLinkOptions & ClientOptions, 'link' | 'share'>;

/**
 * Joins the server at `url` and does its tasks until the run is over; resolves with the reason why
 * it ended. Reconnects when the connection breaks. Rejects with `refused`, `aborted`, or any other
 * error that keeps the site from working.
 */
export async function runSite(options: SiteOptions): Promise<string> {
  const link = siteLink({ ...options, share: options.policy?.share });
  let reason: FedStreamError | undefined;
  try {
    return await runClient({ ...options, link });
  } catch (error) {
    reason = asFedStreamError(options.signal.aborted ? options.signal.reason : error, options.signal.aborted ? 'aborted' : 'internal');
    throw reason;
  } finally {
    await link.close(reason);
  }
}
