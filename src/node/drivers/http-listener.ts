// The HTTP server that the http and ws drivers share, plain or inside TLS.
import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { BUDGETS } from '../../core/budgets.js';
import { DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions } from '../../driver/driver.js';
import { handshakeError } from './socket-error.js';
import { socketPeer } from './socket-peer.js';
import { serverTls, type TlsMaterial } from './tls.js';
import { tellRefused } from './tls-server.js';
import { writeEach } from './write-parts.js';

/** How often the server looks for connections without a request. */
const CHECK_MS = 1_000;

/** The limits of a server, and its certificates. */
export interface HttpListenerOptions extends DriverOptions {
  /** Undefined for plain HTTP. */
  readonly tls: { readonly scheme: string; readonly material: TlsMaterial | undefined } | undefined;
}

/**
 * Makes a server that is not listening yet. Its peers must finish TLS and send their request
 * headers within the connect limit; a request itself may last for days.
 */
export function httpServer({ tls, onRefused = () => {}, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS }: HttpListenerOptions): Server {
  const limits = {
    headersTimeout: connectTimeoutMs,
    requestTimeout: 0,
    keepAliveTimeout: 60_000,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: BUDGETS.headBytes.limit,
    requireHostHeader: true,
    insecureHTTPParser: false,
    noDelay: true,
  };
  const server: Server = tls
    ? createSecureServer({ ...limits, ...serverTls(tls.material, tls.scheme), handshakeTimeout: connectTimeoutMs })
    : createServer(limits);
  server.maxHeadersCount = BUDGETS.headFields.limit;
  if (tls) {
    tellRefused(server as unknown as TlsServer, onRefused);
    server.on('secureConnection', writeEach);
  }
  // A peer that has made a request was accepted, or was told why not. If it is cut off later, that
  // is reported elsewhere.
  const asked = new WeakSet<object>();
  server.on('request', ({ socket }) => void asked.add(socket));
  // Inside TLS, this server hears of failed handshakes as well, which are told above.
  const isReady = new WeakSet<object>();
  server.on(tls ? 'secureConnection' : 'connection', (socket) => void isReady.add(socket));
  // The peer sent bytes that are not HTTP, or none at all for too long.
  server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
    const peer = socketPeer(socket as Socket);
    socket.destroy();
    if (!isReady.has(socket)) return;
    if (cause.code !== 'ECONNRESET' && !asked.has(socket)) onRefused(peer, handshakeError(peer, cause));
  });
  return server;
}
