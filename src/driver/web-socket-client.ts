// The ws client for pages and workers, over the platform's WebSocket.
import { FedStreamError } from '../core/errors.js';
import { parseAddress } from './address.js';
import { connecting } from './connecting.js';
import type { Connection, Driver, DriverOptions } from './driver.js';
import { joinParts } from './join-parts.js';
import { MessageConnection } from './message-connection.js';

/** The subprotocol in the WebSocket handshake: a server that accepts it speaks FedStream. */
export const SUBPROTOCOL = 'fedstream.1';

/**
 * The most bytes that are handed over and not sent, and how often that is checked: a page has no
 * event for it.
 */
const BUFFERED_BYTES = 4 * 1024 * 1024;
const LOOK_MS = 2;
const END_CODE = 1000;

/**
 * The part of the platform's WebSocket that is used. `WebSocket` of browsers, of Node 22 and of the
 * package `ws` have it.
 */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly readyState: number;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open' | 'error', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { code: number }) => void): void;
}

const OPEN = 1;

/** Options of `webSocketClient`. */
export interface WebSocketClientOptions {
  /** The WebSocket to use; the global one by default. */
  readonly webSocket?: new (
    url: string,
    protocol: string,
  ) => WebSocketLike;
}

/**
 * A driver for `ws://host:port/path` and `wss://…` that connects only. The platform gives no way to
 * stop a sender: frames that were not taken wait in memory, bounded by the windows of byte streams.
 */
export function webSocketClient(options: WebSocketClientOptions = {}): Driver {
  const make = options.webSocket ?? (globalThis as { WebSocket?: WebSocketClientOptions['webSocket'] }).WebSocket;
  return {
    schemes: ['ws', 'wss'],
    async connect(url, connect = {}) {
      parseAddress(url, url.startsWith('wss:') ? 'wss' : 'ws');
      if (!make) throw new FedStreamError('unsupported', 'this platform has no WebSocket; use the driver for Node');
      return connecting(url, connect, (stop) => opened(new make(url, SUBPROTOCOL), url, connect, stop));
    },
  };
}

function opened(socket: WebSocketLike, url: string, options: DriverOptions, stop: AbortSignal): Promise<Connection> {
  socket.binaryType = 'arraybuffer';
  return new Promise((resolve, reject) => {
    let isOpen = false;
    const fail = (error: FedStreamError): void => {
      if (isOpen) return; // the connection's own end reports it
      socket.close();
      reject(error);
    };
    stop.addEventListener('abort', () => fail(stop.reason), { once: true });
    // A page cannot see why: a wrong certificate, a closed port and a wrong path look alike.
    socket.addEventListener('error', () => fail(new FedStreamError('closed', `cannot connect to ${url}; check address and certificate`)));
    const connection = connectionOver(socket, url, options);
    socket.addEventListener('open', () => {
      isOpen = true;
      resolve(connection);
    });
  });
}

function connectionOver(socket: WebSocketLike, peer: string, { maxFrameBytes }: DriverOptions): Connection {
  let over = false;
  const connection = new MessageConnection(
    {
      async send(parts) {
        if (over || socket.readyState !== OPEN) throw new Error('the WebSocket is not open');
        socket.send(joinParts(parts)); // copied, or taken over
        while (socket.bufferedAmount > BUFFERED_BYTES && !over) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      },
      finish: () => socket.close(END_CODE),
      // 4000 is a code for applications: this end is not the orderly one.
      abort(reason) {
        over = true;
        socket.close(4000, reason.message.slice(0, 40));
        connection.ended(reason);
      },
      progress: () => socket.bufferedAmount,
    },
    { peer, maxFrameBytes },
  );
  socket.addEventListener('message', ({ data }) => {
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(0);
    if (bytes.length > 0) connection.received(bytes);
    else connection.fail(new FedStreamError('bad-frame', `${peer} sent a WebSocket message that is not a frame`));
  });
  socket.addEventListener('close', ({ code }) => {
    over = true;
    connection.ended(
      code === END_CODE ? undefined : new FedStreamError('closed', `${peer} closed the connection without an end (${code})`),
    );
  });
  return connection;
}
