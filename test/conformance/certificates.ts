// One authority for all tests of a file, and the certificates of server and client.
import type { TlsMaterial } from '../../src/node/drivers/tls.js';
import { throwawayAuthority } from '../../src/node/tls/throwaway-certificates.js';

/**
 * Certificates for a server on this machine and a site of this name; a driver with them can be
 * both.
 */
export async function localMaterial(site = 'site-1'): Promise<TlsMaterial> {
  const authority = await throwawayAuthority();
  const { cert, key } = await authority.issue('localhost', { alsoFor: ['127.0.0.1', site] });
  return { ca: authority.ca, cert, key };
}
