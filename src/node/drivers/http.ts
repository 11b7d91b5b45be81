// The http and https drivers: plain requests, for networks that let nothing else through.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { FedStreamError } from '../../core/errors.js';
import { guarded } from '../../core/guarded.js';
import { parseAddress } from '../../driver/address.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, type Driver, type DriverOptions, type Listener } from '../../driver/driver.js';
import { HTTP_HEADER, HTTP_PATH, HTTP_VERSION, type HttpTarget, targetOf } from '../../driver/http-protocol.js';
import { ClientSockets, forgetKept } from './client-sockets.js';
import { answerPreflight, letPageRead } from './cors.js';
import { cutOff } from './cut-off.js';
import { readBodies } from './http-body.js';
import { connectHttp } from './http-client.js';
import { httpServer } from './http-listener.js';
import { HttpOpenings } from './http-openings.js';
import { HttpServerConnection } from './http-server-connection.js';
import { identify } from './identify.js';
import { passOf } from './passes.js';
import { startListening } from './start-listening.js';
import { requestNames, type TlsMaterial } from './tls.js';
import { WebRules } from './web-rules.js';

type Scheme = 'http' | 'https';

/** Connects and listens at `http://host:port/path`. */
export function http(): Driver {
  return httpDriver('http', undefined);
}

/** Connects and listens at `https://host:port/path`, inside TLS. */
export function https(material?: TlsMaterial): Driver {
  return httpDriver('https', material);
}

function httpDriver(scheme: Scheme, material: TlsMaterial | undefined): Driver {
  const parse = (url: string) => parseAddress(url, scheme);
  return {
    schemes: [scheme],
    connect: async (url, options = {}) => connectHttp(parse(url), scheme, options, material),
    identify,
    async listen(url, accept, options = {}) {
      const address = parse(url);
      const rules = new WebRules(address.host, options, material);
      const server = httpServer({ ...options, tls: scheme === 'https' ? { scheme, material } : undefined });
      const listening = new HttpListening(server, scheme === 'https', { ...options, path: address.path, rules, accept });
      return listening.listener(await startListening(server, scheme, address, options));
    },
  };
}

interface ListeningOptions extends DriverOptions {
  /** The path of the listener's URL. */
  readonly path: string;
  readonly rules: WebRules;
  accept(connection: Connection): void;
}

interface Live {
  /** The certificate names of the client: nobody else may use the connection. */
  readonly names: string;
  readonly connection: HttpServerConnection;
  readonly sockets: ClientSockets;
}

/**
 * The connections of one listener, by their ids. Only clients connect: a server cannot call back.
 */
class HttpListening {
  readonly #server: Server;
  readonly #options: ListeningOptions;
  readonly #openings: HttpOpenings;
  readonly #live = new Map<string, Live>();
  /** The last answer on each socket. */
  readonly #answers = new WeakMap<Socket, ServerResponse>();
  #closed = false;

  constructor(server: Server, secure: boolean, options: ListeningOptions) {
    this.#server = server;
    this.#options = options;
    this.#openings = new HttpOpenings(options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS, () => this.#closeIfDone());
    server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
      // Node's parser reads the socket on its own until somebody else listens to it.
      socket.once('data', () => {});
      readBodies(socket);
    });
    const failed = cutOff(options.onRefused);
    const requested = (request: IncomingMessage, response: ServerResponse): void => this.#requested(request, response);
    server.on(
      'request',
      guarded(requested, (error, { socket }) => failed(error, socket)),
    );
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
    const { rules, path } = this.#options;
    const { host, origin, 'sec-fetch-site': site } = request.headers;
    const fields = request.rawHeaders.length / 2;
    const refusal = rules.refusal({ host, origin, fields, site: typeof site === 'string' ? site : undefined });
    if (refusal) {
      this.#refused(request, response, refusal.status, refusal.why);
      return;
    }
    if (!this.#isNext(request, response)) return;
    if (origin !== undefined) letPageRead(origin, response);
    if (answerPreflight(request, response)) return;
    const target = targetOf(request.method ?? '', request.url ?? '', path);
    if (!target) {
      this.#refused(request, response, 404, `it sent an HTTP request that is not for FedStream at ${path}${HTTP_PATH}`);
      return;
    }
    if (target.kind === 'open') this.#open(request, response);
    else if (target.kind === 'down') this.#begin(target.id, request, response);
    else this.#take(target, request, response);
  }

  /**
   * False for a request that was sent before the one in front of it was answered, which no client
   * of ours does: any number of them would fit in one socket.
   */
  #isNext(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request;
    const before = this.#answers.get(socket);
    if (before && !before.writableEnded && !before.destroyed) {
      const peer = peerOf(request);
      this.#options.onRefused?.(
        peer,
        new FedStreamError('limit', `${peer} was cut off: it sends requests before their turn on one socket`),
      );
      socket.destroy();
      return false;
    }
    this.#answers.set(socket, response);
    forgetKept(passOf(socket));
    passOf(socket).pending();
    response.once('close', () => passOf(socket).idle());
    return true;
  }

  #open(request: IncomingMessage, response: ServerResponse): void {
    if (this.#closed) {
      response.writeHead(410, { connection: 'close' }).end();
      return;
    }
    const id = this.#openings.open(peerOf(request), namesOf(request));
    response.writeHead(201, { 'content-type': 'text/plain' }).end(id);
  }

  #begin(id: string, request: IncomingMessage, response: ServerResponse): void {
    const names = namesOf(request);
    if (!this.#openings.begin(id, names)) {
      this.#refused(request, response, 404, 'it asked for a connection that does not exist');
      return;
    }
    const { maxFrameBytes, accept } = this.#options;
    const sockets = new ClientSockets();
    const admitted = (): void => sockets.admit();
    const options = { peer: peerOf(request), maxFrameBytes, certificateNames: requestNames(request), admitted };
    const connection = new HttpServerConnection(response, options);
    const live: Live = { names, connection, sockets };
    this.#live.set(id, live);
    carry(sockets, request, response);
    void connection.connection.closed.then(() => {
      this.#live.delete(id);
      sockets.release();
      this.#closeIfDone();
    });
    accept(connection.connection);
  }

  #take(target: Extract<HttpTarget, { turn: number }>, request: IncomingMessage, response: ServerResponse): void {
    const live = this.#live.get(target.id);
    if (live && live.names === namesOf(request)) {
      carry(live.sockets, request, response);
      live.connection.take(target.turn, request, response, target.kind === 'end');
    } else response.writeHead(410, { connection: 'close' }).end(); // what its body brings is not read
  }

  /** The body of a refused request is not read: its socket ends. */
  #refused(request: IncomingMessage, response: ServerResponse, status: number, why: string): void {
    const peer = peerOf(request);
    this.#options.onRefused?.(peer, new FedStreamError('refused', `${peer} was not let in: ${why}`));
    response.writeHead(status, { connection: 'close' }).end('This is a FedStream server.\n');
  }

  #closeIfDone(): void {
    if (this.#closed && this.#live.size === 0 && this.#openings.size === 0) this.#server.close();
  }
}

/**
 * Counts the request's socket with the connection for as long as the request lasts; the next request
 * may need it again.
 */
function carry(sockets: ClientSockets, request: IncomingMessage, response: ServerResponse): void {
  const pass = passOf(request.socket);
  sockets.carries(pass);
  response.once('close', () => sockets.idles(pass));
}

function peerOf({ socket }: IncomingMessage): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

function namesOf(request: IncomingMessage): string {
  return JSON.stringify(requestNames(request) ?? null);
}
