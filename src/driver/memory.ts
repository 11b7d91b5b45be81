// The memory driver: connections inside one process, for tests and for sites beside their server.
import { asFedStreamError, FedStreamError } from '../core/errors.js';
import { Queue } from '../core/queue.js';
import { type Connection, checkFrameBytes, DEFAULT_MAX_FRAME_BYTES, type Driver, type DriverOptions } from './driver.js';
import { joinParts } from './join-parts.js';

/** How many frames may wait on the other side before `send` waits. */
const QUEUED_FRAMES = 4;

/** Makes a driver for URLs `memory://name`. Only listeners of the same driver can be reached. */
export function memory(): Driver {
  const listeners = new Map<string, { accept: (connection: Connection) => void; options: DriverOptions | undefined }>();
  return {
    schemes: ['memory'],
    async connect(url, options) {
      checkUrl(url);
      if (options?.signal?.aborted) throw asFedStreamError(options.signal.reason, 'aborted', `connecting to ${url}`);
      const listener = listeners.get(url);
      if (!listener) throw new FedStreamError('closed', `nobody listens on ${url}`);
      const [near, far] = connectionPair(url, options, listener.options);
      listener.accept(far);
      return near;
    },
    async listen(url, accept, options) {
      checkUrl(url);
      if (listeners.has(url)) throw new FedStreamError('io', `${url} is in use`);
      const listener = { accept, options };
      listeners.set(url, listener);
      return { url, close: async () => void (listeners.get(url) === listener && listeners.delete(url)) };
    },
  };
}

/** Makes both ends of one connection; `label` names it in messages. */
export function connectionPair(label: string, near?: DriverOptions, far?: DriverOptions): [Connection, Connection] {
  const a = new MemoryEnd(`${label} (server)`, near?.maxFrameBytes);
  const b = new MemoryEnd(`${label} (client)`, far?.maxFrameBytes);
  a.other = b;
  b.other = a;
  return [a, b];
}

function checkUrl(url: string): void {
  if (!/^memory:\/\/[^\s/]+$/.test(url))
    throw new FedStreamError('bad-argument', `${JSON.stringify(url)} is not an address; write memory://name`);
}

class MemoryEnd implements Connection {
  readonly peer: string;
  readonly closed: Promise<Error | undefined>;
  other: MemoryEnd | undefined;
  readonly #maxFrameBytes: number;
  readonly #incoming = new Queue<Uint8Array>();
  /** Sends of the other end that wait until this end takes a frame. */
  readonly #waiting: ((error?: FedStreamError) => void)[] = [];
  /** The most bytes of the one frame that is taken until `readOn`: 0 after it. */
  #one: number | undefined;
  #open = true;
  #resolveClosed: (error: Error | undefined) => void = () => {};

  constructor(peer: string, maxFrameBytes = DEFAULT_MAX_FRAME_BYTES) {
    this.peer = peer;
    this.#maxFrameBytes = maxFrameBytes;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#incoming.onTake = () => this.#waiting.shift()?.();
  }

  async send(...parts: readonly Uint8Array[]): Promise<void> {
    const { other } = this;
    if (!this.#open || !other) throw this.#closedError();
    const frame = joinParts(parts);
    checkFrameBytes(frame.length, this.#maxFrameBytes);
    const most = other.#one || other.#maxFrameBytes;
    if (frame.length > most) {
      const error = new FedStreamError('limit', `${other.peer} sent a frame of ${frame.length} bytes; at most ${most} are taken`);
      await other.close(error);
      throw this.#closedError();
    }
    if (other.#one !== undefined) other.#one = 0;
    other.#incoming.push(frame);
    if (other.#incoming.size <= QUEUED_FRAMES) return;
    await new Promise<void>((resolve, reject) => other.#waiting.push((error) => (error ? reject(error) : resolve())));
  }

  readOne(maxBytes: number): void {
    this.#one = this.#incoming.size > 0 ? 0 : maxBytes;
  }

  readOn(): void {
    this.#one = undefined;
  }

  async close(reason?: Error): Promise<void> {
    const { other } = this;
    if (!this.#open || !other) return;
    // After an orderly close, sent frames stay in the other end's queue; frames from it are dropped
    // here.
    this.#end(reason, reason, other.#closedError());
    other.#end(undefined, reason && other.#closedError(), reason && this.#closedError(reason));
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#incoming[Symbol.asyncIterator]();
  }

  #end(error: Error | undefined, incoming: Error | undefined, waiting: FedStreamError | undefined): void {
    if (!this.#open) return;
    this.#open = false;
    if (incoming) this.#incoming.clear();
    this.#incoming.end(incoming);
    for (const wake of this.#waiting.splice(0)) wake(waiting);
    this.#resolveClosed(error);
  }

  #closedError(cause?: Error): FedStreamError {
    return new FedStreamError('closed', `the connection to ${this.peer} is closed`, { cause });
  }
}
