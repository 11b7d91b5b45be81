// A TLS server that reports each peer whose handshake fails.
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { guarded } from '../../core/guarded.js';
import { DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions } from '../../driver/driver.js';
import { cutOff } from './cut-off.js';
import { handshakeError } from './socket-error.js';
import { socketPeer } from './socket-peer.js';
import { serverTls, type TlsMaterial } from './tls.js';
import { writeEach } from './write-parts.js';

/** The certificates of a server, and its limits. */
export interface TlsServerOptions extends DriverOptions {
  readonly scheme: string;
  readonly material: TlsMaterial | undefined;
  readonly more?: TlsOptions;
}

/**
 * Makes a server that is not listening yet. `accept` gets sockets that have finished TLS;
 * `onRefused` is told of the others.
 */
export function tlsServer(accept: (socket: TLSSocket) => void, options: TlsServerOptions): Server {
  const { onRefused = () => {}, connectTimeoutMs: handshakeTimeout = DEFAULT_CONNECT_TIMEOUT_MS } = options;
  const tls = { ...serverTls(options.material, options.scheme), handshakeTimeout, noDelay: true, ...options.more };
  const accepted = (socket: TLSSocket): void => {
    writeEach(socket);
    accept(socket);
  };
  const server = createServer(tls, guarded(accepted, cutOff(onRefused)));
  tellRefused(server, onRefused);
  return server;
}

/** Calls `onRefused` for each peer whose handshake fails. */
export function tellRefused(server: Server, onRefused: NonNullable<DriverOptions['onRefused']>): void {
  // The address of a socket is kept while it is known; it is gone once the socket is.
  server.on('connection', (socket) => void socketPeer(socket));
  server.on('tlsClientError', (cause, socket) => {
    const under = (socket as { _parent?: Socket })._parent ?? socket;
    const peer = socketPeer(under);
    // Node first accepts a certificate and then hangs up; the fault that it found is on the socket.
    const found = socket.authorizationError as unknown;
    socket.destroy();
    onRefused(peer, handshakeError(peer, typeof found === 'string' ? Object.assign(new Error(found), { code: found }) : cause));
  });
}
