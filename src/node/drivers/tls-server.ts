// A server whose sockets have finished TLS, with one line for each peer that has not.
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions } from '../../driver/driver.js';
import { handshakeError } from './socket-error.js';
import { serverTls, type TlsMaterial } from './tls.js';
import { writeEach } from './write-parts.js';

export interface TlsServerOptions extends DriverOptions {
  readonly scheme: string;
  readonly material: TlsMaterial | undefined;
  readonly more?: TlsOptions;
}

/** Not listening yet. Who does not get through is told to `onRefused`. */
export function tlsServer(accept: (socket: TLSSocket) => void, options: TlsServerOptions): Server {
  const { onRefused = () => {}, connectTimeoutMs: handshakeTimeout = DEFAULT_CONNECT_TIMEOUT_MS } = options;
  const tls = { ...serverTls(options.material, options.scheme), handshakeTimeout, noDelay: true, ...options.more };
  const server = createServer(tls, (socket) => {
    writeEach(socket);
    accept(socket);
  });
  tellRefused(server, onRefused);
  return server;
}

/** One line for each peer whose handshake fails. */
export function tellRefused(server: Server, onRefused: NonNullable<DriverOptions['onRefused']>): void {
  // Asked for while it is known: of a socket that is gone, it is not.
  server.on('connection', (socket) => void socketPeer(socket));
  server.on('tlsClientError', (cause, socket) => {
    const under = (socket as { _parent?: Socket })._parent ?? socket;
    const peer = socketPeer(under);
    // Node takes a certificate first and hangs up then: what it found is on the socket.
    const found = socket.authorizationError as unknown;
    socket.destroy();
    onRefused(peer, handshakeError(peer, typeof found === 'string' ? Object.assign(new Error(found), { code: found }) : cause));
  });
}

/** For messages to a person; of a socket that is gone already, no address is known. */
export function socketPeer(socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string {
  return socket.remoteAddress === undefined ? 'a peer' : `${socket.remoteAddress}:${socket.remotePort}`;
}
