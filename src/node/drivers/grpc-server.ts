// The server's side of the grpc drivers. Sockets are our own, so that TLS is as in the other drivers, and each becomes HTTP/2 in the library.
import { createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ServerDuplexStream, ServerInterceptingCall } from '@grpc/grpc-js';
import { FedStreamError } from '../../core/errors.js';
import { discard } from '../../driver/discard.js';
import { type Connection, DEFAULT_CONNECT_TIMEOUT_MS, DEFAULT_MAX_FRAME_BYTES } from '../../driver/driver.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { asItIs, CONNECT_METHOD, decodeFrameMessage, FRONT_BYTES, FrameCall } from './grpc-frames.js';
import { type GrpcOptions, type GrpcPackage, HTTP2_WINDOW_BYTES, messageLimits } from './grpc-options.js';
import { listenError } from './socket-error.js';
import { portOf } from './tcp.js';
import { certificateNames } from './tls.js';
import { socketPeer, tlsServer } from './tls-server.js';

type Call = ServerDuplexStream<Uint8Array, Buffer>;

/** A call that was ended and does not end is cut off after so long, with its socket. */
const LINGER_MS = 2_000;

export interface GrpcListening {
  readonly port: number;
  close(): Promise<void>;
}

export async function listenGrpc(
  library: GrpcPackage,
  options: GrpcOptions,
  accept: (connection: Connection) => void,
): Promise<GrpcListening> {
  const sockets = new Map<string, Socket>();
  /** Of sockets on which no call was made yet. */
  const silent = new Map<Socket, NodeJS.Timeout>();
  const heard = (socket: Socket): boolean => {
    clearTimeout(silent.get(socket));
    return silent.delete(socket);
  };
  const server = grpcServer(library, options, (call) => {
    const socket = sockets.get(call.getPeer());
    if (socket) heard(socket);
    accept(connectionOver(library, call, socket, options.maxFrameBytes));
  });
  const injector = server.createConnectionInjector(library.ServerCredentials.createInsecure());
  const take = (socket: Socket): void => {
    const peer = socketPeer(socket);
    sockets.set(peer, socket);
    silent.set(
      socket,
      setTimeout(() => socket.destroy(), options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS),
    );
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(peer);
      if (heard(socket)) options.onRefused?.(peer, new FedStreamError('refused', `${peer} was not let in: it made no gRPC call of ours`));
    });
    injector.injectConnection(socket);
  };
  const sources: Server =
    options.scheme === 'grpcs' ? tlsServer(take, { ...options, more: { ALPNProtocols: ['h2'] } }) : createServer({ noDelay: true }, take);
  await started(sources, options);
  return { port: portOf(sources), close: async () => void sources.close() };
}

function grpcServer(library: GrpcPackage, { maxFrameBytes }: GrpcOptions, onCall: (call: Call) => void) {
  const server = new library.Server({
    ...messageLimits(maxFrameBytes),
    'grpc.max_concurrent_streams': 64,
    interceptors: [(_, call) => widen(call as unknown as ServerInterceptingCall)],
  });
  const definition = {
    path: CONNECT_METHOD,
    requestStream: true,
    responseStream: true,
    requestSerialize: asItIs,
    requestDeserialize: decodeFrameMessage,
    responseSerialize: asItIs,
    responseDeserialize: decodeFrameMessage,
  } as const;
  server.addService({ Connect: definition }, { Connect: onCall });
  return server;
}

interface Http2Session {
  setLocalWindowSize(bytes: number): void;
  settings(settings: { initialWindowSize: number }): void;
}

/** The library has an option for the client's windows only. Where its inside is another one day, the windows are narrow, and all goes on, slower. */
function widen<T>(call: T): T {
  const { session } = (call as { stream?: { session?: Http2Session } }).stream ?? {};
  session?.setLocalWindowSize?.(HTTP2_WINDOW_BYTES);
  session?.settings?.({ initialWindowSize: HTTP2_WINDOW_BYTES });
  return call;
}

function started(server: Server, { address }: GrpcOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(address.url, cause)));
    server.listen({ host: address.host, port: address.port }, () => {
      // Out of file descriptors: one connection is not taken, the others go on.
      server.on('error', () => {});
      resolve();
    });
  });
}

function connectionOver(library: GrpcPackage, call: Call, socket: Socket | undefined, maxFrameBytes = DEFAULT_MAX_FRAME_BYTES): Connection {
  const peer = call.getPeer();
  const names = socket && 'getPeerCertificate' in socket ? certificateNames(socket as TLSSocket) : undefined;
  const frames = new FrameCall(call);
  let cut: NodeJS.Timeout | undefined;
  const connection = new MessageConnection(
    {
      send: (parts, bytes) => frames.send(parts, bytes),
      flow: (welcome) => void (welcome ? call.resume() : call.pause()),
      finish: () => void call.end(),
      abort(reason) {
        call.emit('error', { code: library.status.ABORTED, details: reason.message.slice(0, 200) });
        // What was sent and is not taken would keep the status waiting.
        cut = setTimeout(() => socket?.destroy(), LINGER_MS);
        connection.ended(reason);
      },
      progress: () => frames.pendingBytes,
    },
    { peer, maxFrameBytes, certificateNames: names, release: (frame) => discard(frame, FRONT_BYTES) },
  );
  const ended = (error?: Error): void => {
    clearTimeout(cut);
    connection.ended(error);
  };
  call.sendMetadata(new library.Metadata());
  call.on('data', (frame: Uint8Array) => connection.received(frame));
  call.on('end', () => connection.otherEnded());
  call.on('finish', () => ended());
  call.on('error', (cause: Error) => ended(new FedStreamError('closed', `the connection to ${peer} broke: ${cause.message}`, { cause })));
  call.on('cancelled', () => ended(new FedStreamError('closed', `${peer} closed the connection without an end`)));
  return connection;
}
