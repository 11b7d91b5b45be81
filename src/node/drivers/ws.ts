// The ws and wss drivers: a frame is a binary WebSocket message, which ordinary proxies let
// through.
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RawData, ServerOptions, WebSocket } from 'ws';
import { BUDGETS } from '../../core/budgets.js';
import { FedStreamError } from '../../core/errors.js';
import { guarded } from '../../core/guarded.js';
import { parseAddress } from '../../driver/address.js';
import { connecting } from '../../driver/connecting.js';
import { type Connection, DEFAULT_MAX_FRAME_BYTES, type Driver, type DriverOptions, type Listener } from '../../driver/driver.js';
import { MessageConnection } from '../../driver/message-connection.js';
import { SUBPROTOCOL } from '../../driver/web-socket-client.js';
import { hashedFrames } from '../../stream/hashed-frames.js';
import { BOTH_FAMILIES } from './both-families.js';
import { cutOff } from './cut-off.js';
import { frameSink } from './frame-sink.js';
import { httpServer } from './http-listener.js';
import { answerError } from './http-status.js';
import { identify } from './identify.js';
import { MessageReads } from './message-reads.js';
import { needPackage } from './need-package.js';
import { passOf } from './passes.js';
import { brokenError, connectError } from './socket-error.js';
import { startListening } from './start-listening.js';
import { clientTls, requestNames, type TlsMaterial } from './tls.js';
import { loadUnmask, type Unmask } from './unmask.js';
import { WebRules } from './web-rules.js';
import { type MessageMaker, MessageWriter, noMask } from './ws-writer.js';

type Scheme = 'ws' | 'wss';
const END_CODE = 1000;

/** Connects and listens at `ws://host:port/path`. */
export function ws(): Driver {
  return webSocketDriver('ws', undefined);
}

/** Connects and listens at `wss://host:port/path`, inside TLS. */
export function wss(material?: TlsMaterial): Driver {
  return webSocketDriver('wss', material);
}

function webSocketDriver(scheme: Scheme, material: TlsMaterial | undefined): Driver {
  return {
    schemes: [scheme],
    async connect(url, options = {}) {
      const { host } = parseAddress(url, scheme);
      const library = await needPackage('ws', `${scheme}://`, () => import('ws'));
      return connecting(url, options, (stop) => {
        const socket = new library.WebSocket(url, SUBPROTOCOL, {
          ...(scheme === 'wss' ? { ...clientTls(material, host), generateMask: noMask } : {}),
          perMessageDeflate: false,
          maxPayload: options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES,
          skipUTF8Validation: true,
          autoPong: false,
          ...(BOTH_FAMILIES as object), // passed on to the socket, which the types of the library lack
        });
        return opened(
          socket,
          { ...options, peer: url },
          (under) => new MessageWriter(socket, under, makerOf(library), scheme === 'wss' ? 'zero' : 'random'),
          stop,
        );
      });
    },
    identify,
    listen: (url, accept, options = {}) => listen(scheme, url, accept, options, material),
  };
}

/** Resolves once the WebSocket is open; `writerOf` gets the socket under it. */
function opened(
  socket: WebSocket,
  options: ConnectionOptions,
  writerOf: (under: Duplex) => MessageWriter,
  stop: AbortSignal,
): Promise<Connection> {
  const { peer: url } = options;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.on('error', () => {});
      socket.terminate();
      reject(error);
    };
    stop.addEventListener('abort', () => fail(stop.reason), { once: true });
    socket.once('error', (cause) => fail(connectError(url, cause)));
    socket.once('unexpected-response', (_, response) =>
      fail(answerError(url, response.statusCode ?? 0, 'with a WebSocket', response.headers.location)),
    );
    let under: Duplex | undefined;
    socket.once('upgrade', (response) => {
      under = response.socket;
    });
    // Messages may follow at once, so their reader must be there by then.
    socket.once('open', () => {
      socket.removeAllListeners('error').removeAllListeners('unexpected-response');
      resolve(connectionOver(socket, under as Duplex, writerOf(under as Duplex), options));
    });
  });
}

async function listen(
  scheme: Scheme,
  url: string,
  accept: (connection: Connection) => void,
  options: DriverOptions,
  material: TlsMaterial | undefined,
): Promise<Listener> {
  const address = parseAddress(url, scheme);
  const library = await needPackage('ws', `${scheme}://`, () => import('ws'));
  const unmask = await loadUnmask();
  const maker = makerOf(library);
  const rules = new WebRules(address.host, options, material);
  const server = httpServer({ ...options, tls: scheme === 'wss' ? { scheme, material } : undefined });
  const sockets = new library.WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES,
    maxFragments: BUDGETS.fragments.limit,
    skipUTF8Validation: true,
    autoPong: false,
    clientTracking: false,
    handleProtocols: (offered: ReadonlySet<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  } as ServerOptions);
  const peerOf = ({ socket }: IncomingMessage): string => `${socket.remoteAddress}:${socket.remotePort}`;
  const refuse = (peer: string, why: string): void =>
    options.onRefused?.(peer, new FedStreamError('refused', `${peer} was not let in: ${why}`));
  const noWebSocket = 'it sent an HTTP request that asks for no FedStream WebSocket';
  const refusalOf = ({ headers, rawHeaders, url = '' }: IncomingMessage): { readonly status: number; readonly why: string } | undefined => {
    const path = url.replace(/\/+$/, '');
    const why = `it asked for a WebSocket at another path than ${address.path || '/'}`;
    return (
      rules.refusal({ host: headers.host, origin: headers.origin, fields: rawHeaders.length / 2 }) ??
      (path === address.path ? undefined : { status: 404, why })
    );
  };
  server.on('request', (request, response) => {
    refuse(peerOf(request), noWebSocket);
    response.writeHead(426, { connection: 'close' }).end('This is a FedStream server; it speaks WebSocket.\n');
  });
  sockets.on('wsClientError', (_, __, request) => refuse(peerOf(request), noWebSocket));
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy()); // until the WebSocket listens
    const refusal = refusalOf(request);
    if (refusal) {
      refuse(peerOf(request), refusal.why);
      socket.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      socket.once('finish', () => socket.destroy());
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      if (client.protocol === SUBPROTOCOL) {
        const writer = new MessageWriter(client, socket, maker, 'none');
        const admitted = (): void => passOf(socket).admitted();
        const own = { peer: peerOf(request), certificateNames: requestNames(request), unmask, admitted };
        accept(connectionOver(client, socket, writer, { ...options, ...own }));
      } else {
        refuse(peerOf(request), noWebSocket);
        client.on('error', () => {}); // whatever it sends now
        client.close(1002, `ask for the subprotocol ${SUBPROTOCOL}`);
      }
    });
  };
  const failed = cutOff(options.onRefused);
  server.on(
    'upgrade',
    guarded(upgrade, (error, { socket }) => failed(error, socket)),
  );
  const listening = await startListening(server, scheme, address, options);
  return { url: listening, close: async () => void server.close() };
}

/** The part of the library that makes messages: exported, but missing in its types. */
function makerOf(library: object): MessageMaker {
  return Reflect.get(library, 'Sender') as MessageMaker;
}

interface ConnectionOptions extends DriverOptions {
  readonly peer: string;
  readonly certificateNames?: readonly string[] | undefined;
  /** Takes the mask off; present if the peer must mask. */
  readonly unmask?: Unmask | undefined;
  /** Called once the peer has proved its name. */
  admitted?(): void;
}

function connectionOver(socket: WebSocket, under: Duplex, writer: MessageWriter, options: ConnectionOptions): Connection {
  const { peer, maxFrameBytes, certificateNames } = options;
  const { splitter, memory } = hashedFrames(maxFrameBytes);
  let direct = true;
  const connection = new MessageConnection(
    {
      send: (parts, bytes) => writer.send(parts, bytes),
      flow(now) {
        if (direct && now) reads.resume();
        else if (!direct) now ? socket.resume() : socket.pause();
      },
      finish: () => socket.close(END_CODE),
      abort: () => socket.terminate(),
      progress: () => socket.bufferedAmount,
      limited: (maxBytes) => limitMessages(socket, maxBytes),
    },
    {
      peer,
      maxFrameBytes,
      certificateNames,
      splitter,
      release: (frame) => memory.giveBack(frame),
      admitted: () => options.admitted?.(),
    },
  );
  let pings = 0;
  const frames = {
    ...frameSink(splitter, connection),
    get welcome() {
      return !connection.full;
    },
    begin(bytes: number) {
      pings = 0;
      splitter.begin(bytes);
    },
  };
  // Messages that `MessageReads` leaves to `ws`: a proxy may split them, for example.
  socket.on('message', (data: RawData, isBinary) => {
    const bytes = data as Buffer;
    pings = 0;
    if (isBinary && bytes.length > 0) connection.received(new Uint8Array(bytes));
    else connection.fail(new FedStreamError('bad-frame', `${peer} sent a WebSocket message that is not a frame`));
  });
  const limit = BUDGETS.pings.limit;
  const counted = (): void => {
    if (++pings > limit) connection.fail(new FedStreamError('limit', `${peer} sent more than ${limit} pings or pongs without a message`));
  };
  socket.on('ping', counted).on('pong', counted);
  answerPings(socket);
  let fault: Error | undefined;
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    if (cause.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
      fault = new FedStreamError('limit', `${peer} sent a frame above the limit of ${splitter.maxBytes} bytes`, { cause });
    else if (cause.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS')
      fault = new FedStreamError('limit', `${peer} sent a message in more than ${BUDGETS.fragments.limit} pieces`, { cause });
    else fault = brokenError(peer, cause);
    connection.fail(fault);
  });
  socket.on('close', (code) => {
    if (code === END_CODE || fault) connection.ended(fault);
    else connection.ended(new FedStreamError('closed', `${peer} closed the connection without an end (${code})`));
  });
  const reads = new MessageReads(under as Socket, frames, {
    maxBytes: () => splitter.maxBytes,
    unmask: options.unmask,
  });
  direct = reads.install();
  return connection;
}

/**
 * Sets the longest message that the library joins from pieces. It takes the limit when it makes its
 * receiver, and reads it there for every piece.
 */
function limitMessages(socket: WebSocket, maxBytes: number): void {
  const receiver: unknown = Reflect.get(socket, '_receiver');
  if (maxBytes > 0 && typeof receiver === 'object' && receiver && '_maxPayload' in receiver) receiver._maxPayload = maxBytes;
}

/**
 * Answers pings with one pong at a time, so that a peer that pings and never reads costs no memory.
 * The bytes are copied, since they lie in a read buffer.
 */
function answerPings(socket: WebSocket): void {
  let answering = false;
  socket.on('ping', (bytes) => {
    if (answering || socket.readyState !== socket.OPEN) return;
    answering = true;
    socket.pong(Buffer.from(bytes), undefined, () => {
      answering = false;
    });
  });
}
