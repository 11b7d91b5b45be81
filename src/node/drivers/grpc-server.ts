// The server side of the grpc drivers: a socket is a session of HTTP/2, a call a connection.
import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import { guarded } from '../../core/guarded.js';
import type { HostAddress } from '../../driver/address.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, type DriverOptions, type Listener } from '../../driver/driver.js';

import { cutOff } from './cut-off.js';
import { CONNECT_PATH, FIRST_SETTINGS, GRPC_TYPE, grpcConnection, HTTP2_SETTINGS, STATUS_OK, widen } from './grpc-stream.js';
import { passOf } from './passes.js';
import { socketPeer } from './socket-peer.js';

import { startListening } from './start-listening.js';
import { certificateNames, type TlsMaterial } from './tls.js';
import { tlsServer } from './tls-server.js';
import { WebRules } from './web-rules.js';

/** The answer to a call of another method; 12 is gRPC's UNIMPLEMENTED. */
const UNKNOWN_METHOD = {
  ':status': 200,
  'content-type': GRPC_TYPE,
  'grpc-status': '12',
  'grpc-message': 'this is a FedStream server',
} as const;
/** A socket that stays open this long after its last call has ended is cut off. */
const LINGER_MS = 2_000;

/**
 * Node's own limits against floods of control frames, which end the session: stated here, since a
 * peer has them as a budget, too.
 */
const LIMITS = {
  maxSessionMemory: 10, // MB, of what waits to be sent and of heads
  maxHeaderListPairs: BUDGETS.headFields.limit,
  maxOutstandingPings: 10,
  maxOutstandingSettings: 10,
  maxSettings: 32, // in one frame
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  unknownProtocolTimeout: BUDGETS.handshakeMs.limit,
};

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
  const { tls } = options;
  const rules = new WebRules(options.address.host, options, tls?.material);
  const take = (socket: Socket): void => void new Calls(socket, options, rules, accept);
  const server = tls ? tlsServer(take, { ...options, ...tls, more: { ALPNProtocols: ['h2'] } }) : createServer({ noDelay: true }, take);
  const url = await startListening(server, tls?.scheme ?? 'grpc', options.address, options);
  return { url, close: async () => void server.close() };
}

/**
 * The calls of one socket. A client of ours makes one, another library's client may make several.
 */
class Calls {
  readonly #socket: Socket;
  readonly #peer: string;
  readonly #options: GrpcServerOptions;
  readonly #rules: WebRules;
  readonly #accept: (connection: Connection) => void;
  #open = 0;
  #isWide = false;
  /** Runs while no call is open. */
  #idle: NodeJS.Timeout;

  constructor(socket: Socket, options: GrpcServerOptions, rules: WebRules, accept: (connection: Connection) => void) {
    this.#socket = socket;
    this.#peer = socketPeer(socket);
    this.#options = options;
    this.#rules = rules;
    this.#accept = accept;
    this.#idle = setTimeout(() => socket.destroy(), options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
    let called = false;
    let told = false;
    const refused = (why: string): void => {
      if (!told) options.onRefused?.(this.#peer, new FedStreamError('refused', `${this.#peer} was not let in: ${why}`));
      told = true;
    };
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(this.#idle);
      if (!called) refused('it made no gRPC call to FedStream');
    });
    const session = performServerHandshake(socket, { ...LIMITS, settings: FIRST_SETTINGS });
    session.on('error', () => socket.destroy());
    const calls = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
      const { ':authority': authority, origin } = headers;
      const refusal = this.#rules.refusal({ host: authority ?? headers.host, origin });
      if (refusal) {
        refused(refusal.why);
        refuse(stream, { ':status': refusal.status });
      } else if (headers[':method'] === 'POST' && headers[':path'] === CONNECT_PATH && headers['content-type']?.startsWith(GRPC_TYPE)) {
        called = true;
        this.#begin(session, stream);
      } else refuse(stream, UNKNOWN_METHOD);
    };
    const failed = cutOff(options.onRefused);
    session.on(
      'stream',
      guarded(calls, (error) => failed(error, socket)),
    );
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
      admitted: () => passOf(socket).admitted(),
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

function refuse(stream: ServerHttp2Stream, answer: OutgoingHttpHeaders): void {
  stream.on('error', () => {});
  stream.respond(answer, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}
