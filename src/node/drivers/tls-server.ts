// A server whose sockets have finished TLS, with one line for each peer that has not.
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions } from '../../driver/driver.js';
import { handshakeError } from './socket-error.js';
import { serverTls, type TlsMaterial } from './tls.js';

export interface TlsServerOptions extends DriverOptions {
  readonly scheme: string;
  readonly material: TlsMaterial | undefined;
  readonly more?: TlsOptions;
}

/** Not listening yet. Who does not get through is told to `onRefused`. */
export function tlsServer(accept: (socket: TLSSocket) => void, options: TlsServerOptions): Server {
  const { onRefused = () => {}, connectTimeoutMs: handshakeTimeout = DEFAULT_CONNECT_TIMEOUT_MS } = options;
  const refuse = (socket: TLSSocket, cause: Error): void => {
    const peer = socketPeer(socket);
    socket.destroy();
    onRefused(peer, handshakeError(peer, cause));
  };
  const tls = { ...serverTls(options.material, options.scheme), handshakeTimeout, noDelay: true, ...options.more };
  const server = createServer(tls, accept);
  server.on('tlsClientError', (cause, socket) => refuse(socket, cause));
  return server;
}

/** For messages to a person; of a socket that is gone already, no address is known. */
export function socketPeer(socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string {
  return socket.remoteAddress === undefined ? 'a peer' : `${socket.remoteAddress}:${socket.remotePort}`;
}
