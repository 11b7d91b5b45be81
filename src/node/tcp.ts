// The tcp driver: frames over a socket, each behind its length as a little-endian u32.
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { Queue } from '../core/queue.js';
import { type Connection, DEFAULT_MAX_FRAME_BYTES, type Driver, type DriverOptions, type Listener } from '../driver/driver.js';
import { FrameSplitter } from './frame-splitter.js';

const CONNECT_TIMEOUT_MS = 10_000;
/** Frames that were read and not taken before the socket is paused. */
const QUEUED_FRAMES = 4;

/** `tcp://host:port`; port 0 listens on a port that the system chooses. */
export function tcp(): Driver {
  return { schemes: ['tcp'], connect, listen };
}

function connect(url: string, options: DriverOptions = {}): Promise<Connection> {
  const { host, port } = parseUrl(url);
  options.signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host, port, noDelay: true });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
      socket.destroy();
      reject(error);
    };
    const limitMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const timer = setTimeout(() => fail(new FedStreamError('timeout', `${url} did not answer within ${limitMs / 1000} s`)), limitMs);
    const abort = (): void => fail(asFedStreamError(options.signal?.reason, 'aborted'));
    options.signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', (cause) => fail(new FedStreamError('closed', `cannot connect to ${url}: ${explain(cause)}`, { cause })));
    socket.once('connect', () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
      socket.removeAllListeners('error');
      resolve(new TcpConnection(socket, options.maxFrameBytes));
    });
  });
}

function listen(url: string, accept: (connection: Connection) => void, options: DriverOptions = {}): Promise<Listener> {
  const { host, port } = parseUrl(url);
  return new Promise((resolve, reject) => {
    const server: Server = createServer({ noDelay: true }, (socket) => accept(new TcpConnection(socket, options.maxFrameBytes)));
    server.once('error', (cause) => reject(new FedStreamError('io', `cannot listen on ${url}: ${explain(cause)}`, { cause })));
    server.listen({ host, port }, () => {
      const address = server.address();
      const actual = address !== null && typeof address === 'object' ? address.port : port;
      const close = (): Promise<void> => new Promise((done) => server.close(() => done()));
      resolve({ url: `tcp://${host.includes(':') ? `[${host}]` : host}:${actual}`, close });
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

class TcpConnection implements Connection {
  readonly peer: string;
  readonly closed: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #incoming = new Queue<Uint8Array>();
  readonly #maxFrameBytes: number;
  #error: Error | undefined;

  constructor(socket: Socket, maxFrameBytes = DEFAULT_MAX_FRAME_BYTES) {
    this.#socket = socket;
    this.#maxFrameBytes = maxFrameBytes;
    this.peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const splitter = new FrameSplitter(maxFrameBytes);
    socket.on('data', (bytes: Uint8Array) => this.#received(splitter, bytes));
    socket.on('error', (cause) =>
      this.#fail(new FedStreamError('closed', `the connection to ${this.peer} broke: ${cause.message}`, { cause })),
    );
    socket.on('end', () => {
      if (splitter.pendingBytes > 0) this.#fail(new FedStreamError('closed', `${this.peer} closed the connection inside a frame`));
      else socket.end();
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#incoming.end(this.#error);
        resolve(this.#error);
      });
    });
    this.#incoming.onTake = () => {
      if (socket.isPaused() && this.#incoming.size < QUEUED_FRAMES) socket.resume();
    };
  }

  send(...parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (bytes > this.#maxFrameBytes)
      return Promise.reject(new FedStreamError('limit', `a frame of ${bytes} bytes is above the limit of ${this.#maxFrameBytes}`));
    if (!this.#socket.writable)
      return Promise.reject(this.#error ?? new FedStreamError('closed', `the connection to ${this.peer} is closed`));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes, true);
    return new Promise((resolve, reject) => {
      const flushed = (error?: Error | null): void => {
        if (error) reject(this.#error ?? new FedStreamError('closed', `the connection to ${this.peer} is closed`, { cause: error }));
        else resolve();
      };
      this.#socket.cork();
      this.#socket.write(length);
      for (const [index, part] of parts.entries()) this.#socket.write(part, index === parts.length - 1 ? flushed : undefined);
      this.#socket.uncork();
    });
  }

  async close(reason?: Error): Promise<void> {
    if (reason) this.#fail(reason);
    else this.#socket.end();
    // A peer that never closes its own side is not waited for.
    const timer = setTimeout(() => this.#socket.destroy(), 2_000);
    await this.closed;
    clearTimeout(timer);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#incoming[Symbol.asyncIterator]();
  }

  #received(splitter: FrameSplitter, bytes: Uint8Array): void {
    try {
      for (const frame of splitter.push(bytes)) this.#incoming.push(frame);
    } catch (error) {
      this.#fail(new FedStreamError('bad-frame', `${this.peer}: ${(error as Error).message}`, { cause: error }));
      return;
    }
    if (this.#incoming.size >= QUEUED_FRAMES) this.#socket.pause();
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
