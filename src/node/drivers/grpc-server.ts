// The server side of the grpc drivers: a socket is a session of HTTP/2, a call a connection.
import { constants, type IncomingHttpHeaders, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { FedStreamError } from '../../core/errors.js';
import type { HostAddress } from '../../driver/address.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions, type Listener } from '../../driver/driver.js';
import { CONNECT_PATH, FIRST_SETTINGS, GRPC_TYPE, grpcConnection, HTTP2_SETTINGS, STATUS_OK, widen } from './grpc-stream.js';
import { startListening } from './start-listening.js';
import { certificateNames, type TlsMaterial } from './tls.js';
import { socketPeer, tlsServer } from './tls-server.js';

/** gRPC's status for a method that does not exist. */
const UNIMPLEMENTED = '12';
/** A socket that stays open this long after its last call has ended is cut off. */
const LINGER_MS = 2_000;

/** The address that a server listens on, and its certificates. */
export interface GrpcServerOptions extends DriverOptions {
  readonly address: HostAddress;
  /** Undefined for plain text. */
  readonly tls: { readonly scheme: string; readonly material: TlsMaterial | undefined } | undefined;
}

/**
 * Listens for calls; `accept` gets a connection for each. Rejects with `io` if the address cannot
 * be used.
 */
export async function listenGrpc(options: GrpcServerOptions, accept: (connection: Connection) => void): Promise<Listener> {
  const take = (socket: Socket): void => void new Calls(socket, options, accept);
  const { tls } = options;
  const server = tls ? tlsServer(take, { ...options, ...tls, more: { ALPNProtocols: ['h2'] } }) : createServer({ noDelay: true }, take);
  const url = await startListening(server, tls?.scheme ?? 'grpc', options.address);
  return { url, close: async () => void server.close() };
}

/**
 * The calls of one socket. A client of ours makes one, another library's client may make several.
 */
class Calls {
  readonly #socket: Socket;
  readonly #peer: string;
  readonly #options: GrpcServerOptions;
  readonly #accept: (connection: Connection) => void;
  #open = 0;
  #isWide = false;
  /** Runs while no call is open. */
  #idle: NodeJS.Timeout;

  constructor(socket: Socket, options: GrpcServerOptions, accept: (connection: Connection) => void) {
    this.#socket = socket;
    this.#peer = socketPeer(socket);
    this.#options = options;
    this.#accept = accept;
    this.#idle = setTimeout(() => socket.destroy(), options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
    let called = false;
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(this.#idle);
      if (!called)
        options.onRefused?.(this.#peer, new FedStreamError('refused', `${this.#peer} was not let in: it made no gRPC call to FedStream`));
    });
    const session = performServerHandshake(socket, { settings: FIRST_SETTINGS });
    session.on('error', () => socket.destroy());
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      if (headers[':method'] === 'POST' && headers[':path'] === CONNECT_PATH && headers['content-type']?.startsWith(GRPC_TYPE)) {
        called = true;
        this.#begin(session, stream);
      } else refuse(stream);
    });
  }

  #begin(session: ServerHttp2Session, stream: ServerHttp2Stream): void {
    const socket = this.#socket;
    this.#open++;
    clearTimeout(this.#idle);
    stream.respond({ ':status': 200, 'content-type': GRPC_TYPE }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': STATUS_OK }));
    const connection = grpcConnection(stream, socket, {
      peer: this.#peer,
      maxFrameBytes: this.#options.maxFrameBytes,
      certificateNames: this.#options.tls ? certificateNames(socket as TLSSocket) : undefined,
      limited: () => {
        if (!connection.isLimited) this.#widen(session);
      },
      abort: () => {},
    });
    stream.on('close', () => {
      if (--this.#open > 0) return;
      this.#idle = setTimeout(() => socket.destroy(), LINGER_MS);
      session.close();
    });
    this.#accept(connection);
    if (!connection.isLimited) this.#widen(session);
  }

  /** Gives the peer the windows of a fast path, once it has said who it is. */
  #widen(session: ServerHttp2Session): void {
    if (this.#isWide || session.destroyed) return;
    this.#isWide = true;
    session.settings(HTTP2_SETTINGS);
    widen(session);
  }
}

function refuse(stream: ServerHttp2Stream): void {
  stream.on('error', () => {});
  stream.respond(
    { ':status': 200, 'content-type': GRPC_TYPE, 'grpc-status': UNIMPLEMENTED, 'grpc-message': 'this is a FedStream server' },
    { endStream: true },
  );
  stream.close(constants.NGHTTP2_NO_ERROR);
}
