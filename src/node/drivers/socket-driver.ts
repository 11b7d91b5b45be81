// The common part of the drivers over sockets (tcp, tcps, uds): connecting and listening.
import type { ListenOptions, Server, Socket } from 'node:net';
import { FedStreamError } from '../../core/errors.js';
import { connecting } from '../../driver/connecting.js';
import type { Connection, Driver, DriverOptions, Listener } from '../../driver/driver.js';
import { DirectReads } from './direct-reads.js';
import { gated } from './gated.js';
import { passOf } from './passes.js';
import { SocketConnection } from './socket-connection.js';
import { brokenError, connectError, listenError } from './socket-error.js';

/** The memory that a new socket reads into. */
export interface DialOptions {
  readonly onread: DirectReads['onread'];
}

/** One kind of socket. */
export interface SocketKind {
  readonly scheme: string;
  /** Throws `bad-argument` for a URL that is not one of this kind. */
  check(url: string): void;
  /** The event after which the socket can be used. */
  readonly ready: 'connect' | 'secureConnect';
  /** How many bytes of a large frame are read at a time, if other than over TCP. */
  readonly readBytes?: number;
  dial(url: string, options: DialOptions): Socket;
  /** Makes a server that is not listening yet; `accept` gets each socket once it can be used. */
  serve(accept: (socket: Socket) => void, options: DriverOptions): Server;
  where(url: string): ListenOptions;
  /** The URL that clients can connect to. */
  url(url: string, server: Server): string;
  /** Called before listening, to remove what another process left behind. */
  prepare?(url: string): Promise<void>;
  /** The name of the peer in messages. */
  peer(socket: Socket, url: string): string;
  /** The name that all peers share, where they have no addresses. */
  local?(url: string): string;
  certificateNames?(socket: Socket): readonly string[] | undefined;
  /** Finds out what else listens there; missing where nothing else can. */
  readonly identify?: Driver['identify'];
}

/** Makes the driver of one kind of socket. */
export function socketDriver(kind: SocketKind): Driver {
  return {
    schemes: [kind.scheme],
    async connect(url, options = {}) {
      kind.check(url);
      return connecting(url, options, (stop) => dialled(kind, url, options, stop));
    },
    ...(kind.identify && { identify: kind.identify }),
    listen: (url, accept, options = {}) => listen(kind, url, accept, options),
  };
}

function dialled(kind: SocketKind, url: string, options: DriverOptions, stop: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const reads = new DirectReads(options.maxFrameBytes, kind.readBytes);
    const socket = kind.dial(url, { onread: reads.onread });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    stop.addEventListener('abort', () => fail(stop.reason), { once: true });
    // An aborted handshake ends without an error of its own.
    socket.once('close', () => fail(new FedStreamError('closed', `${url} closed the connection before it was open`)));
    socket.once('error', (cause) => fail(connectError(url, cause)));
    socket.once(kind.ready, () => {
      socket.removeAllListeners('error').removeAllListeners('close');
      resolve(connectionOver(kind, socket, url, options, { reads, direct: true }));
    });
  });
}

async function listen(kind: SocketKind, url: string, accept: (connection: Connection) => void, options: DriverOptions): Promise<Listener> {
  kind.check(url);
  await kind.prepare?.(url);
  return new Promise((resolve, reject) => {
    const accepted = (socket: Socket): void => {
      const reads = new DirectReads(options.maxFrameBytes, kind.readBytes);
      accept(connectionOver(kind, socket, url, options, { reads, direct: reads.takeOver(socket) }));
    };
    const server = kind.serve(accepted, options);
    gated(server, options, kind.local?.(url));
    server.once('error', (cause) => reject(listenError(url, cause)));
    server.listen(kind.where(url), () => {
      // Without file descriptors, one connection is not accepted; the others go on.
      server.on('error', () => {});
      resolve({
        url: kind.url(url, server),
        // Not awaited: the server closes with its last connection, and connections live on.
        close: async () => void server.close(),
      });
    });
  });
}

function connectionOver(
  kind: SocketKind,
  socket: Socket,
  url: string,
  { maxFrameBytes }: DriverOptions,
  how: { readonly reads: DirectReads; readonly direct: boolean },
): Connection {
  const peer = kind.peer(socket, url);
  const certificateNames = kind.certificateNames?.(socket);
  const admitted = (): void => passOf(socket).admitted();
  return new SocketConnection(socket, {
    peer,
    certificateNames,
    maxFrameBytes,
    admitted,
    ...how,
    broken: (cause) => brokenError(peer, cause),
  });
}
