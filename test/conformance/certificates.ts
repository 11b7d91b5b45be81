// One authority for all tests of a file, and what server and client show each other.
import type { TlsMaterial } from '../../src/node/drivers/tls.js';
import { throwawayAuthority } from '../../src/node/tls/throwaway-certificates.js';

/** Certificates for a server on this machine and a site of the name; a driver made of it can be both. */
export async function localMaterial(site = 'site-1'): Promise<TlsMaterial> {
  const authority = await throwawayAuthority();
  const { cert, key } = await authority.issue('localhost', { alsoFor: ['127.0.0.1', site] });
  return { ca: authority.ca, cert, key };
}
