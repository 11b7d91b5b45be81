// Starts a server on a host and a port, for the drivers over HTTP, WebSocket and gRPC.
import type { Server } from 'node:net';
import { addressUrl, type HostAddress } from '../../driver/address.js';
import type { DriverOptions } from '../../driver/driver.js';
import { gated } from './gated.js';
import { listenError } from './socket-error.js';
import { portOf } from './tcp.js';

/**
 * Puts the server behind the gate of the options, if there is one, and starts it: all its listeners
 * must be there. Resolves with the URL that clients can connect to; rejects with `io` if the
 * address cannot be used.
 */
export function startListening(server: Server, scheme: string, address: HostAddress, options: DriverOptions): Promise<string> {
  gated(server, options);
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(address.url, cause)));
    server.listen({ host: address.host, port: address.port }, () => {
      // Without file descriptors, one connection is not accepted; the others go on.
      server.on('error', () => {});
      resolve(addressUrl(scheme, address, portOf(server)));
    });
  });
}
