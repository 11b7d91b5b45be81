// An HTTP server that listens, plain or inside TLS: what the drivers over HTTP share.
import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions } from '../../driver/driver.js';
import { handshakeError } from './socket-error.js';
import { serverTls, type TlsMaterial } from './tls.js';
import { socketPeer, tellRefused } from './tls-server.js';
import { writeEach } from './write-parts.js';

/** How often connections without a request are looked for. */
const CHECK_MS = 1_000;

export interface HttpListenerOptions extends DriverOptions {
  /** Undefined for plain HTTP. */
  readonly tls: { readonly scheme: string; readonly material: TlsMaterial | undefined } | undefined;
}

/** A server whose peers have finished TLS and send their request headers within the connect limit; a request itself may last for days. */
export function httpServer({ tls, onRefused = () => {}, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS }: HttpListenerOptions): Server {
  const limits = {
    headersTimeout: connectTimeoutMs,
    requestTimeout: 0,
    keepAliveTimeout: 60_000,
    connectionsCheckingInterval: CHECK_MS,
    noDelay: true,
  };
  const server: Server = tls
    ? createSecureServer({ ...limits, ...serverTls(tls.material, tls.scheme), handshakeTimeout: connectTimeoutMs })
    : createServer(limits);
  if (tls) {
    tellRefused(server as unknown as TlsServer, onRefused);
    server.on('secureConnection', writeEach);
  }
  // Whoever has made a request was let in, or told why not; that it is cut off later is another matter.
  const asked = new WeakSet<object>();
  server.on('request', ({ socket }) => void asked.add(socket));
  // Bytes that are no HTTP, or none at all for too long.
  server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
    const peer = socketPeer(socket as Socket);
    socket.destroy();
    if (cause.code !== 'ECONNRESET' && !asked.has(socket)) onRefused(peer, handshakeError(peer, cause));
  });
  return server;
}
