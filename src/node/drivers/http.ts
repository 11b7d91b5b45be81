// The http and https drivers: plain requests, for networks that let nothing else through.
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { FedStreamError } from '../../core/errors.js';
import { parseAddress } from '../../driver/address.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, type Driver, type DriverOptions, type Listener } from '../../driver/driver.js';
import { HTTP_HEADER, HTTP_VERSION, type HttpTarget, targetOf } from '../../driver/http-protocol.js';
import { readBodies } from './http-body.js';
import { connectHttp } from './http-client.js';
import { httpServer } from './http-listener.js';
import { HttpServerConnection } from './http-server-connection.js';
import { startListening } from './start-listening.js';
import { requestNames, type TlsMaterial } from './tls.js';

type Scheme = 'http' | 'https';
const PORTS = { http: 80, https: 443 } as const;
/** The most connections that were asked for and have not begun; each costs a few hundred bytes. */
const MAX_BEGINNING = 1024;

/** Connects and listens at `http://host:port/path`. */
export function http(): Driver {
  return httpDriver('http', undefined);
}

/** Connects and listens at `https://host:port/path`, inside TLS. */
export function https(material?: TlsMaterial): Driver {
  return httpDriver('https', material);
}

function httpDriver(scheme: Scheme, material: TlsMaterial | undefined): Driver {
  const parse = (url: string) => parseAddress(url, scheme, { defaultPort: PORTS[scheme], path: true });
  return {
    schemes: [scheme],
    connect: async (url, options = {}) => connectHttp(parse(url), scheme, options, material),
    async listen(url, accept, options = {}) {
      const address = parse(url);
      const server = httpServer({ ...options, tls: scheme === 'https' ? { scheme, material } : undefined });
      const listening = new HttpListening(server, scheme === 'https', accept, options);
      return listening.listener(await startListening(server, scheme, address));
    },
  };
}

/**
 * The connections of one listener, by their ids. Only clients connect: a server cannot call back.
 */
class HttpListening {
  readonly #server: Server;
  readonly #accept: (connection: Connection) => void;
  readonly #options: DriverOptions;
  /**
   * Connections that were asked for, with the certificate names of the client: nobody else may use
   * them.
   */
  readonly #beginning = new Map<string, { readonly names: string; readonly timer: NodeJS.Timeout }>();
  readonly #live = new Map<string, { readonly names: string; readonly connection: HttpServerConnection }>();
  #closed = false;

  constructor(server: Server, secure: boolean, accept: (connection: Connection) => void, options: DriverOptions) {
    this.#server = server;
    this.#accept = accept;
    this.#options = options;
    server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
      // Node's parser reads the socket on its own until somebody else listens to it.
      socket.once('data', () => {});
      readBodies(socket);
    });
    server.on('request', (request, response) => this.#requested(request, response));
  }

  /**
   * Accepted connections still need their requests, so the server stops listening with the last of
   * them.
   */
  listener(url: string): Listener {
    const close = async (): Promise<void> => {
      this.#closed = true;
      this.#closeIfDone();
    };
    return { url, close };
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader(HTTP_HEADER, HTTP_VERSION);
    response.on('error', () => {});
    const target = targetOf(request.method ?? '', request.url ?? '');
    if (!target) {
      this.#refused(request, response, 404, 'it sent an HTTP request that is not for FedStream');
      return;
    }
    if (target.kind === 'open') this.#open(request, response);
    else if (target.kind === 'down') this.#begin(target.id, request, response);
    else this.#take(target, request, response);
  }

  #open(request: IncomingMessage, response: ServerResponse): void {
    if (this.#closed) {
      response.writeHead(410, { connection: 'close' }).end();
      return;
    }
    const id = randomBytes(16).toString('hex');
    const forget = (): void => {
      this.#beginning.delete(id);
      this.#closeIfDone();
    };
    const timer = setTimeout(forget, this.#options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
    // A client that asks and never begins only pushes out the oldest of its kind.
    if (this.#beginning.size >= MAX_BEGINNING) this.#forgetOldest();
    this.#beginning.set(id, { names: namesOf(request), timer });
    response.writeHead(201, { 'content-type': 'text/plain' }).end(id);
  }

  #begin(id: string, request: IncomingMessage, response: ServerResponse): void {
    const asked = this.#beginning.get(id);
    if (!asked || asked.names !== namesOf(request)) {
      this.#refused(request, response, 404, 'it asked for a connection that does not exist');
      return;
    }
    clearTimeout(asked.timer);
    this.#beginning.delete(id);
    const options = { peer: peerOf(request), maxFrameBytes: this.#options.maxFrameBytes, certificateNames: requestNames(request) };
    const connection = new HttpServerConnection(response, options);
    this.#live.set(id, { names: asked.names, connection });
    void connection.connection.closed.then(() => {
      this.#live.delete(id);
      this.#closeIfDone();
    });
    this.#accept(connection.connection);
  }

  #take(target: Extract<HttpTarget, { turn: number }>, request: IncomingMessage, response: ServerResponse): void {
    const live = this.#live.get(target.id);
    if (live && live.names === namesOf(request)) live.connection.take(target.turn, request, response, target.kind === 'end');
    else response.writeHead(410).end();
  }

  #refused(request: IncomingMessage, response: ServerResponse, status: number, why: string): void {
    const peer = peerOf(request);
    this.#options.onRefused?.(peer, new FedStreamError('refused', `${peer} was not let in: ${why}`));
    response.writeHead(status, { connection: 'close' }).end('This is a FedStream server.\n');
  }

  #forgetOldest(): void {
    for (const [id, { timer }] of this.#beginning) {
      clearTimeout(timer);
      this.#beginning.delete(id);
      return;
    }
  }

  #closeIfDone(): void {
    if (this.#closed && this.#live.size === 0 && this.#beginning.size === 0) this.#server.close();
  }
}

function peerOf({ socket }: IncomingMessage): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

function namesOf(request: IncomingMessage): string {
  return JSON.stringify(requestNames(request) ?? null);
}
