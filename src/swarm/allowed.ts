// The owner's rule on which hosts a site connects to: an address comes from another site, over the
// coordinator, and neither of them is trusted to choose.
import { FedStreamError } from '../core/errors.js';
import { schemeOf } from '../driver/scheme.js';
import { refusedBy } from '../site/site-rule.js';

/** Throws `refused`, naming the rule, where the owner's list has neither the URL nor its host. */
export function checkAllowed(url: string, aggregator: string, allow: readonly string[]): void {
  if (allow.includes(url)) return;
  const { host, hostname } = placeOf(url);
  if (host !== '' && allow.some((entry) => entry.toLowerCase() === host || entry.toLowerCase() === hostname)) return;
  const listed = allow.length === 0 ? 'the list is empty' : `listed are ${allow.join(', ')}`;
  throw refusedBy(
    'swarm.allow',
    `${aggregator} is the aggregator at ${url}, and this site does not connect there: ${listed} (docs/site.md)`,
  );
}

/** Host with and without port, in small letters; empty for URLs of this machine (`uds`). */
function placeOf(url: string): { host: string; hostname: string } {
  if (schemeOf(url) === 'uds') return { host: '', hostname: '' };
  try {
    // A scheme that the platform knows, so that every URL is taken apart in the same way.
    const { host, hostname, username, password } = new URL(url.replace(/^[a-z]+:/, 'http:'));
    if (username !== '' || password !== '') throw new TypeError('it has a user');
    return { host: host.toLowerCase(), hostname: hostname.toLowerCase().replace(/^\[(.*)\]$/, '$1') };
  } catch (cause) {
    throw new FedStreamError('bad-frame', `${url} is no address of an aggregator`, { cause });
  }
}
