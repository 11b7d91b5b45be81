// The tcp driver: frames over a socket, each behind its length as a little-endian u32.
import { connect as connectSocket, createServer, type Server } from 'node:net';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import type { Connection, Driver, DriverOptions, Listener } from '../driver/driver.js';
import { DirectReads, TcpConnection } from './tcp-connection.js';

const CONNECT_TIMEOUT_MS = 10_000;

/** `tcp://host:port`; port 0 listens on a port that the system chooses. */
export function tcp(): Driver {
  return { schemes: ['tcp'], connect, listen };
}

async function connect(url: string, options: DriverOptions = {}): Promise<Connection> {
  const { host, port } = parseUrl(url);
  const aborted = (): FedStreamError => asFedStreamError(options.signal?.reason, 'aborted', `connecting to ${url}`);
  if (options.signal?.aborted) throw aborted();
  return new Promise((resolve, reject) => {
    const direct = new DirectReads(options.maxFrameBytes);
    const socket = connectSocket({ host, port, noDelay: true, onread: direct.onread });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const limitMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => fail(new FedStreamError('timeout', `${url} did not answer within ${limitMs / 1000} s`)), limitMs);
    const abort = (): void => fail(aborted());
    options.signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', (cause) => fail(new FedStreamError('closed', `cannot connect to ${url}: ${explain(cause)}`, { cause })));
    socket.once('connect', () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
      socket.removeAllListeners('error');
      resolve(new TcpConnection(socket, options.maxFrameBytes, direct));
    });
  });
}

async function listen(url: string, accept: (connection: Connection) => void, options: DriverOptions = {}): Promise<Listener> {
  const { host, port } = parseUrl(url);
  return new Promise((resolve, reject) => {
    const server: Server = createServer({ noDelay: true }, (socket) => accept(new TcpConnection(socket, options.maxFrameBytes)));
    server.once('error', (cause) => reject(new FedStreamError('io', `cannot listen on ${url}: ${explain(cause)}`, { cause })));
    server.listen({ host, port }, () => {
      // Out of file descriptors: one connection is not taken, the others go on.
      server.on('error', () => {});
      const address = server.address();
      const actual = address !== null && typeof address === 'object' ? address.port : port;
      resolve({
        url: `tcp://${host.includes(':') ? `[${host}]` : host}:${actual}`,
        // Not awaited: the server is closed when its last connection is, and those live on.
        close: async () => void server.close(),
      });
    });
  });
}

function parseUrl(url: string): { host: string; port: number } {
  const match = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^\s/:[\]]+):(\d{1,5})\/?$/.exec(url);
  const port = Number(match?.[2]);
  if (!match || port > 65_535)
    throw new FedStreamError('bad-argument', `${JSON.stringify(url)} is no address; write tcp://host:port, such as tcp://127.0.0.1:9000`);
  return { host: (match[1] as string).replace(/^\[|\]$/g, ''), port };
}

function explain(cause: Error): string {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') return 'the port is in use; choose another one, or end the process that has it';
  if (code === 'EACCES') return 'this user may not use that port; choose one above 1023';
  if (code === 'ECONNREFUSED') return 'nobody listens there; start `fedstream server`, or check host and port';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the host name is not known; check it';
  return cause.message;
}
