// A server on a host and a port starts to listen: what the drivers over HTTP, WebSocket and gRPC share.
import type { Server } from 'node:net';
import { addressUrl, type HostAddress } from '../../driver/address.js';
import { listenError } from './socket-error.js';
import { portOf } from './tcp.js';

/** Resolves with the URL that others can connect to; `io` where the address cannot be had. */
export function startListening(server: Server, scheme: string, address: HostAddress): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(address.url, cause)));
    server.listen({ host: address.host, port: address.port }, () => {
      // Out of file descriptors: one connection is not taken, the others go on.
      server.on('error', () => {});
      resolve(addressUrl(scheme, address, portOf(server)));
    });
  });
}
