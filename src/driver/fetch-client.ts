// The http client for pages and workers: over `fetch` (docs/spec/drivers.md).
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { addressUrl, parseAddress } from './address.js';
import { connecting } from './connecting.js';
import { type Connection, DEFAULT_MAX_FRAME_BYTES, type Driver, type DriverOptions } from './driver.js';
import { FrameMemory } from './frame-memory.js';
import { FrameSplitter } from './frame-splitter.js';
import { FRAMES_TYPE, HTTP_HEADER, HTTP_VERSION, isConnectionId, pathOf, refusedFrames } from './http-protocol.js';
import { lengthPrefixed } from './length-prefix.js';
import { MessageConnection } from './message-connection.js';

/** The most bytes of waiting frames in one request; a page cannot stream into a request. */
const BATCH_BYTES = 8 * 1024 * 1024;

/**
 * A driver for `http://host:port/path` and `https://…` that connects only. Without `options.fetch`
 * it uses the global one.
 */
export function fetchClient(options: { readonly fetch?: typeof fetch } = {}): Driver {
  // A browser's `fetch` allows no other `this` than the global object.
  const call = options.fetch ?? ((...request: Parameters<typeof fetch>) => globalThis.fetch(...request));
  return { schemes: ['http', 'https'], connect: (url, how = {}) => connect(call, url, how) };
}

async function connect(call: typeof fetch, url: string, options: DriverOptions): Promise<Connection> {
  const scheme = url.startsWith('https:') ? 'https' : 'http';
  const address = parseAddress(url, scheme);
  const base = addressUrl(scheme, address, address.port);
  return connecting(url, options, async (stop) => {
    const over = new AbortController();
    stop.addEventListener('abort', () => over.abort(stop.reason), { once: true });
    try {
      const opened = await call(`${base}${pathOf({ kind: 'open' })}`, { method: 'POST', signal: over.signal });
      const id = opened.status === 201 && opened.headers.get(HTTP_HEADER) === HTTP_VERSION ? await opened.text() : '';
      if (!isConnectionId(id))
        throw new FedStreamError('closed', `cannot connect to ${url}: it answers ${opened.status}, not as FedStream does`);
      const down = await call(`${base}${pathOf({ kind: 'down', id })}`, { signal: over.signal });
      if (down.status !== 200 || !down.body) throw new FedStreamError('closed', `cannot connect to ${url}: it answers ${down.status}`);
      return new FetchConnection(call, base, id, down.body, over, options.maxFrameBytes).connection;
    } catch (cause) {
      stop.throwIfAborted();
      if (cause instanceof FedStreamError) throw cause;
      // A page cannot see why: a wrong certificate, a closed port and a missing CORS header look
      // alike.
      throw new FedStreamError('closed', `cannot connect to ${url}; check address and certificate`, { cause });
    }
  });
}

interface Waiting {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  resolve(): void;
  reject(error: Error): void;
}

class FetchConnection {
  readonly connection: MessageConnection;
  readonly #call: typeof fetch;
  readonly #base: string;
  readonly #id: string;
  readonly #stop: AbortController;
  readonly #memory = new FrameMemory();
  readonly #splitter: FrameSplitter;
  readonly #waiting: Waiting[] = [];
  #sending = false;
  #finishing = false;
  #turn = 0;
  #taken = 0;
  #resume: () => void = () => {};
  #paused = false;

  constructor(
    call: typeof fetch,
    base: string,
    id: string,
    down: ReadableStream<Uint8Array>,
    stop: AbortController,
    maxFrameBytes = DEFAULT_MAX_FRAME_BYTES,
  ) {
    this.#call = call;
    this.#base = base;
    this.#id = id;
    this.#stop = stop;
    this.#splitter = new FrameSplitter(maxFrameBytes, this.#memory);
    this.connection = new MessageConnection(
      {
        send: (parts, bytes) => this.#send(lengthPrefixed(parts, bytes), bytes),
        flow: (welcome) => this.#flow(welcome),
        finish: () => {
          this.#finishing = true;
          void this.#pump();
        },
        abort: (reason) => {
          stop.abort(reason);
          this.connection.ended(reason);
        },
        progress: () => this.#taken,
      },
      { peer: base, maxFrameBytes, splitter: this.#splitter, release: (frame) => this.#memory.giveBack(frame) },
    );
    void this.#read(down.getReader());
  }

  #send(pieces: readonly Uint8Array[], bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ pieces, bytes, resolve, reject });
      void this.#pump();
    });
  }

  /** Sends the waiting frames, one request at a time to keep their order. */
  async #pump(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      const batch = this.#takeBatch();
      try {
        // The parts are copied, since they may be used again before the platform's own retry is
        // over.
        await this.#request('POST', 'up', new Blob(batch.flatMap(({ pieces }) => pieces) as BlobPart[]));
        for (const { resolve } of batch) resolve();
      } catch (cause) {
        for (const { reject } of batch) reject(cause as Error);
        this.connection.fail(new FedStreamError('closed', `the connection to ${this.#base} broke: ${(cause as Error).message}`, { cause }));
      }
    }
    if (this.#finishing) await this.#request('DELETE', 'end').catch(() => {});
    this.#sending = false;
  }

  #takeBatch(): Waiting[] {
    let count = 0;
    let bytes = 0;
    while (count < this.#waiting.length && (count === 0 || bytes < BATCH_BYTES)) bytes += (this.#waiting[count++] as Waiting).bytes;
    return this.#waiting.splice(0, count);
  }

  async #request(method: string, kind: 'up' | 'end', body?: Blob): Promise<void> {
    const path = pathOf({ kind, id: this.#id, turn: this.#turn++ });
    const init = { method, signal: this.#stop.signal, headers: { 'content-type': FRAMES_TYPE } };
    const response = await this.#call(`${this.#base}${path}`, body ? { ...init, body } : init);
    await response.arrayBuffer();
    this.#taken++;
    if (response.status !== 204) throw new Error(refusedFrames(response.status));
  }

  #flow(welcome: boolean): void {
    this.#paused = !welcome;
    if (welcome) this.#resume();
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      for (;;) {
        if (this.#paused)
          await new Promise<void>((resolve) => {
            this.#resume = resolve;
          });
        const { value, done } = await reader.read();
        if (done) break;
        this.#taken++;
        for (const frame of this.#splitter.push(value)) this.connection.received(frame);
      }
      if (this.#splitter.pendingBytes > 0) throw new FedStreamError('closed', `${this.#base} closed the connection inside a frame`);
      this.connection.ended();
    } catch (error) {
      const failure = asFedStreamError(error, 'closed', `the connection to ${this.#base} broke`);
      this.connection.fail(failure);
    } finally {
      this.#stop.abort(new FedStreamError('closed', `the connection to ${this.#base} is over`));
    }
  }
}
