// The client side of the grpc drivers: each connection is one call, on a socket of its own.
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type ErrorCode, FedStreamError } from '../../core/errors.js';
import type { HostAddress } from '../../driver/address.js';
import { connecting } from '../../driver/connecting.js';
import type { Connection, DriverOptions } from '../../driver/driver.js';
import type { MessageConnection } from '../../driver/message-connection.js';
import { BOTH_FAMILIES } from './both-families.js';
import { CONNECT_PATH, GRPC_TYPE, grpcConnection, HTTP2_SETTINGS, STATUS_OK, widen } from './grpc-stream.js';
import { answerError } from './http-status.js';
import { brokenError, connectError } from './socket-error.js';
import { clientTls, type TlsMaterial } from './tls.js';

/** A connection that has not ended this long after its call is cut off. */
const LINGER_MS = 2_000;
/**
 * How long to wait for the head of the server's answer. A proxy may hold it back until bytes
 * follow; by then the call counts as accepted.
 */
const HEAD_MS = 250;

/** The address that a client calls, and its certificates. */
export interface GrpcClientOptions extends DriverOptions {
  readonly address: HostAddress;
  /** Undefined for plain text. */
  readonly tls: { readonly material: TlsMaterial | undefined } | undefined;
}

/** Connects to a gRPC server; rejects as `Driver.connect` does. */
export function connectGrpc(options: GrpcClientOptions): Promise<Connection> {
  return connecting(options.address.url, options, (stop) => called(options, stop));
}

function called(options: GrpcClientOptions, stop: AbortSignal): Promise<Connection> {
  const { url } = options.address;
  return new Promise((resolve, reject) => {
    const socket = dial(options);
    let connection: MessageConnection | undefined;
    let kept: NodeJS.Timeout | undefined;
    const settled = (): void => {
      clearTimeout(kept);
      socket.off('error', broken).off('close', hungUp);
    };
    const fail = (error: Error): void => {
      settled();
      connection?.fail(error);
      socket.destroy();
      reject(error);
    };
    const broken = (cause: Error): void => fail(connectError(url, cause));
    // An aborted handshake ends without an error of its own, and so does a connection to a server
    // that does not speak HTTP/2.
    const hungUp = (): void => fail(new FedStreamError('closed', `${url} closed the connection before it was open; is it a gRPC server?`));
    stop.addEventListener('abort', () => fail(stop.reason), { once: true });
    socket.on('error', broken).on('close', hungUp);
    socket.once(options.tls ? 'secureConnect' : 'connect', () => {
      const session = connectHttp2(origin(options), { createConnection: () => socket, settings: HTTP2_SETTINGS });
      session.on('error', broken);
      session.once('connect', () => widen(session));
      const call = new Call(session, socket, options);
      connection = call.connection;
      let isOpen = false;
      const opened = (): void => {
        if (isOpen) return;
        isOpen = true;
        settled();
        session.off('error', broken).on('error', (cause) => call.connection.fail(brokenError(url, cause)));
        socket.on('error', () => {}); // the session reports it
        resolve(call.connection);
      };
      session.once('remoteSettings', () => {
        kept = setTimeout(opened, HEAD_MS);
      });
      call.onAnswer = (refusal) => (refusal ? fail(refusal) : opened());
    });
  });
}

function dial({ address: { host, port }, tls }: GrpcClientOptions): Socket {
  if (!tls) return connect({ host, port, noDelay: true, ...BOTH_FAMILIES });
  const how: ConnectionOptions = { host, port, ...BOTH_FAMILIES, ...clientTls(tls.material, host), ALPNProtocols: ['h2'] };
  return connectTls(how).setNoDelay(true);
}

function origin({ address: { host, port }, tls }: GrpcClientOptions): string {
  return `${tls ? 'https' : 'http'}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** gRPC's statuses by which a server says that it is no FedStream server, or lets this side not in; others are outages. */
function codeOfStatus(status: string | string[] | undefined): ErrorCode {
  if (status === '12') return 'bad-argument'; // UNIMPLEMENTED
  return status === '7' || status === '16' ? 'refused' : 'closed'; // PERMISSION_DENIED, UNAUTHENTICATED
}

/** One call: the connection over it, and the server's answer to it. */
class Call {
  readonly connection: MessageConnection;
  /** Called once: with the reason if the server refuses the call. */
  onAnswer: (refusal: FedStreamError | undefined) => void = () => {};
  #status: IncomingHttpHeaders | undefined;

  constructor(session: ClientHttp2Session, socket: Socket, { address: { url }, maxFrameBytes }: GrpcClientOptions) {
    const stream = session.request({ ':method': 'POST', ':path': CONNECT_PATH, 'content-type': GRPC_TYPE, te: 'trailers' });
    const close = (): void => {
      if (session.destroyed) return;
      session.close();
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    };
    this.connection = grpcConnection(stream, socket, {
      peer: url,
      maxFrameBytes,
      status: () => this.#wrong(url),
      abort: close,
    });
    this.#listen(stream, url);
    stream.on('close', close);
  }

  #listen(stream: ClientHttp2Stream, url: string): void {
    stream.on('response', (headers) => {
      const { ':status': status, 'content-type': type = '' } = headers;
      if (status !== 200 || !type.startsWith(GRPC_TYPE))
        this.onAnswer(
          status !== undefined && status !== 200
            ? answerError(url, status, 'as a gRPC server')
            : new FedStreamError('bad-argument', `cannot connect to ${url}: it is an HTTP server, and no gRPC server; check host and port`),
        );
      else if (headers['grpc-status'] !== undefined) {
        this.#status = headers;
        this.onAnswer(this.#wrong(url));
      } else this.onAnswer(undefined);
    });
    stream.on('trailers', (trailers) => {
      this.#status = trailers;
    });
  }

  /**
   * The error that the status means, or undefined for OK. A call that ends without a status was not
   * ended by gRPC.
   */
  #wrong(url: string): FedStreamError | undefined {
    const { 'grpc-status': status, 'grpc-message': message = '' } = this.#status ?? {};
    if (status === STATUS_OK) return undefined;
    return new FedStreamError(codeOfStatus(status), `${url} ended the call with gRPC status ${status ?? '(none)'} ${message}`.trimEnd());
  }
}
